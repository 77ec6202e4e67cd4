"""A company on a database of its own, and the worker processes that work for it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import OperationalError

from deskwright.settings import Settings
from deskwright.store import migrations
from deskwright.store.database import Database, start_embedded
from tests.company import Company, found

CONCURRENCY = 24
"""More than people: everybody can stand at their point at once."""
PATIENCE = 120.0
_ROOT = Path(__file__).resolve().parents[2]
_STATE = (
    "SELECT status, count(*) FROM cloud_pcs GROUP BY 1",
    "SELECT id, kind, lease, wake_at, tenant_now(tenant_id) AS now, wake_reason FROM runs WHERE state = 'active'",
    "SELECT status, task_name, count(*) FROM procrastinate_jobs GROUP BY 1, 2",
    "SELECT id, now() - last_heartbeat AS silent FROM procrastinate_workers",
    "SELECT count(*) FROM touched_users",
)


@dataclass
class Field:
    company: Company
    data_dir: Path
    embedded: bool
    """Workers start the database of the data directory themselves, as where no URL is set."""
    marks: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, count: int = 1, points: Mapping[str, tuple[str, str]] | None = None) -> None:
        """Start workers; with `points` such as stand still there."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DESKWRIGHT_")}
        environment["DESKWRIGHT_DATA_DIR"] = str(self.data_dir)
        environment["DESKWRIGHT_CHAOS"] = json.dumps({"marks": str(self.marks), "points": points or {}})
        if not self.embedded:
            environment["DESKWRIGHT_DATABASE_URL"] = self.company.world.database.url
        module = "deskwright" if points is None else "bench.chaos.worker"
        command = [sys.executable, "-m", module, "worker", "--concurrency", str(CONCURRENCY)]
        with (self.marks.parent / "workers.log").open("ab") as log:
            for _ in range(count):
                self.processes.append(subprocess.Popen(command, env=environment, cwd=_ROOT, stdout=log, stderr=log))

    def kill(self, processes: "list[subprocess.Popen[bytes]]") -> None:
        for process in processes:
            process.kill()
            process.wait()
            self.processes.remove(process)

    def stand_at(self, subjects: list[str]) -> None:
        """Wait until each of them is at its point."""
        until(lambda: all((self.marks / subject).exists() for subject in subjects), "everybody is at their point")

    def go(self) -> None:
        (self.marks / "go").touch()

    def gone_on(self, subjects: list[str]) -> None:
        until(lambda: all((self.marks / f"{s}.gone-on").exists() for s in subjects), "the woken have gone on")

    def state(self) -> str:
        """What there is, for whoever must find out why something is not as it should be."""
        return "\n".join(f"{query}: {self.company.sql(query)}" for query in _STATE)

    def log(self) -> str:
        return (self.marks.parent / "workers.log").read_text(errors="replace")


@contextmanager
def field_of(database: Database, directory: Path, *, speed: float = float("inf")) -> Iterator[Field]:
    """A field on a fresh database of a server that runs."""
    with tempfile.TemporaryDirectory(prefix="chaos", dir=directory) as own:
        settings = Settings(data_dir=Path(own), database_url=database.url)
        with _staffed(found(database, settings, speed=speed), Path(own), embedded=False) as ready:
            yield ready


@contextmanager
def embedded_field(directory: Path, *, speed: float = float("inf")) -> Iterator[Field]:
    """A field whose workers start its database themselves, and start it again when it is gone."""
    with tempfile.TemporaryDirectory(prefix="chaos", dir=directory, ignore_cleanup_errors=True) as own:
        data_dir = Path(own)
        data_dir.chmod(0o711)
        database = Database(start_embedded(data_dir), pool_size=8)
        migrations.upgrade(database)
        company = found(database, Settings(data_dir=data_dir), speed=speed)
        try:
            with _staffed(company, data_dir, embedded=True) as ready:
                yield ready
        finally:
            database.close()
            postmaster = _postmaster(data_dir)
            if postmaster is not None:
                os.kill(postmaster, signal.SIGINT)  # a fast shutdown
                _wait(lambda: _postmaster(data_dir) is None, 20)


@contextmanager
def _staffed(company: Company, data_dir: Path, *, embedded: bool) -> Iterator[Field]:
    marks = data_dir / "marks"
    marks.mkdir()
    ready = Field(company, data_dir, embedded, marks)
    try:
        yield ready
    except Exception:
        sys.stderr.write(f"{ready.log()[-4000:]}\n{ready.state()}\n")
        raise
    finally:
        for process in list(ready.processes):
            process.send_signal(signal.SIGCONT)
            ready.kill([process])


def kill_postgresql(data_dir: Path) -> None:
    """kill -9 of the server itself; its children see that it is gone and end."""
    postmaster = _postmaster(data_dir)
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)


def _postmaster(data_dir: Path) -> int | None:
    path = data_dir / "postgresql" / "postmaster.pid"
    try:
        pid = int(path.read_text(encoding="ascii").split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    return pid


def until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until it holds; returns seconds. The database may be away meanwhile. Raises TimeoutError."""
    began = time.monotonic()
    if not _wait(holds, seconds):
        raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
    return time.monotonic() - began


def _wait(holds: Callable[[], bool], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if holds():
                return True
        except OperationalError:
            pass
        time.sleep(0.05)
    return False
