"""`deskwright demo`: a service of its own, a sample company applied to it, and everybody watching it come up.

The service runs as a process of its own, as it would in earnest. Should it die (somebody may try kill -9), it is
started again, and what it was doing goes on where it was.
"""

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import IO, Any

from deskwright.cli import live
from deskwright.cli.output import out
from deskwright.cli.session import Session, open_session
from deskwright.cli.summary import print_summary
from deskwright.domain.rules import Refused
from deskwright.operations import invitations, tenants
from deskwright.operations.change import TenantRef

SAMPLE = "contoso.yaml"
_PASSWORD_VARIABLE = "CONTOSO_JOIN_PASSWORD"  # noqa: S105 - a name
_MARKER, _LOG = "demo.json", "serve.log"
_START_SECONDS, _STOP_SECONDS = 60.0, 20.0


@dataclass
class Service:
    """The demo's `deskwright serve`."""

    data_dir: Path
    process: "subprocess.Popen[bytes] | None" = None
    url: str = ""
    restarts: int = 0
    _log: IO[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it listens. Raises Refused with the end of its log where it does not."""
        self._log = (self.data_dir / _LOG).open("ab")
        command = [sys.executable, "-m", "deskwright", "serve", "--data-dir", str(self.data_dir)]
        # A session of its own: Ctrl-C here must not end it before its data have been looked at.
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)  # noqa: S603
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            about = _about(self.data_dir)
            if about and about["pid"] == self.process.pid:
                self.url = about["url"]
                return
            time.sleep(0.05)
        said = (self.data_dir / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        self.stop()
        raise Refused(
            "demo", None, "its service did not start", remedy="\n".join([f"See {self.data_dir / _LOG}:", *said])
        )

    def look_after(self) -> str | None:
        """Start it again where it has died; returns what to tell, if anything."""
        if self.process is None or self.process.poll() is None:
            return None
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self.restarts += 1
        self.start()
        return f"The service {how}. It has been started again (pid {self.process.pid}); the runs go on where they were."

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._log is not None:
            self._log.close()


def run_demo(data_dir: Path, *, keep: bool, speed: float | None) -> None:
    """The whole of it. Returns when everything has settled; the service is left running where `keep` says so."""
    # Whoever ends the demo ends its service too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    make_fresh(data_dir)
    os.environ["DESKWRIGHT_DATA_DIR"] = str(data_dir)
    # The demo is a world of its own, whatever database this shell otherwise works with.
    os.environ.pop("DESKWRIGHT_DATABASE_URL", None)
    os.environ.setdefault(_PASSWORD_VARIABLE, "made up for the demo")
    mark(data_dir, keep=False)
    out.print("Starting a Deskwright of its own, with its PostgreSQL …", style="dim")
    service = Service(data_dir)
    try:
        service.start()
        with open_session() as session:
            out.print(f"It listens on {service.url} (pid {pid_of(service)}); its data are in {data_dir}", style="dim")
            tenant = _apply(session, speed)
            picture = live.follow(session.database, tenant, out, tick=service.look_after)
            print_summary(session.database, tenant, out, picture, command_line(data_dir))
            _closing(service, data_dir, _sign_in_link(session, tenant, service.url) if keep else None)
    except BaseException:
        service.stop()
        raise
    if keep:
        mark(data_dir, keep=True)
    else:
        service.stop()
        if service.restarts:
            # PostgreSQL stops with the last process that uses it, but cannot know of one that was killed.
            end_postgresql(data_dir)


def _apply(session: Session, speed: float | None) -> TenantRef:
    from deskwright.document.apply import apply

    with _sample() as path:
        out.print(f"Applying the sample company {path.name} …", style="dim")
        apply(session.world, path, session.actor)
    tenant = session.tenant(None)
    if speed is not None:
        tenants.set_simulation(session.database, tenant, session.actor, speed=speed)
    return tenant


@contextlib.contextmanager
def _sample() -> Iterator[Path]:
    with as_file(files("deskwright") / "samples" / SAMPLE) as path:
        yield path


def _sign_in_link(session: Session, tenant: TenantRef, url: str) -> str:
    """Where the sample company's administrator chooses a password."""
    made = invitations.first_administrator(session.database, tenant, session.actor, base=url)
    assert made is not None  # nobody has one in a company that is a minute old
    return str(made["url"])


def _real_machines() -> str:
    """In one line: what the demo with real machines would do on this machine."""
    installed = importlib.util.find_spec("libvirt") and shutil.which("libvirtd", path=f"{os.defpath}:/usr/sbin")
    first = "uses the libvirt that is installed here" if installed else "installs libvirt and QEMU by apt"
    faster = (
        "KVM, if it proves to work" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "software emulation (no KVM here)"
    )
    return f"With real machines: make demo COMPUTE=libvirt {first}, then makes two Cloud PCs by {faster}."


def _closing(service: Service, data_dir: Path, link: str | None) -> None:
    """`link`: to the admin center of a service that stays."""
    out.print()
    out.print(_real_machines(), style="dim", highlight=False, soft_wrap=True)
    if link:
        out.print(
            f"The service is still running: {service.url}, pid {pid_of(service)}, data in {data_dir}", style="bold"
        )
        out.print("  See it in the admin center; this link lets you choose a password, once:", highlight=False)
        out.print(f"    {link}", style="cyan", highlight=False, soft_wrap=True)
        out.print(
            f"  Stop it with: {command_line(data_dir)} demo --stop --data-dir {data_dir}",
            highlight=False,
            soft_wrap=True,
        )
        return
    out.print(
        f"The demo's service stops now; its data stay in {data_dir} until the next demo.", style="bold", soft_wrap=True
    )
    out.print(
        "  To go on with it (retry, repair, clock advance …) start it again, in another terminal:", soft_wrap=True
    )
    out.print(f"    {command_line(data_dir)} serve", style="cyan", highlight=False, soft_wrap=True)
    out.print("  For the admin center a link that lets its administrator choose a password:", soft_wrap=True)
    out.print(f"    {command_line(data_dir)} init --tenant contoso.com", style="cyan", highlight=False, soft_wrap=True)


def command_line(data_dir: Path) -> str:
    """How `deskwright` is typed here, so that it finds the demo's data."""
    program = "deskwright"
    if shutil.which(program) is None:
        called = Path(sys.argv[0])
        beside = called if called.name == program else Path(sys.executable).with_name(program)
        with contextlib.suppress(ValueError):
            beside = beside.absolute().relative_to(Path.cwd())
        program = str(beside) if beside.exists() else f"{sys.executable} -m deskwright"
    return f"DESKWRIGHT_DATA_DIR={shlex.quote(str(data_dir))} {program}"


def make_fresh(data_dir: Path) -> None:
    """Remove what an earlier demo left. Refused where that is still wanted, or where it is not a demo's directory."""
    if not data_dir.exists():
        return
    marker = _read(data_dir / _MARKER)
    if marker is None:
        if any(data_dir.iterdir()):
            raise Refused("--data-dir", str(data_dir), "is not a demo's directory, and is not empty; it is left alone")
        return
    about = _about(data_dir)
    if about and (marker.get("keep") or _alive(int(marker.get("pid", 0)))):
        who = "was kept and is still running" if marker.get("keep") else "is running there"
        remedy = "Stop it with: deskwright demo --stop — or give this one another --data-dir"
        raise Refused(
            "--data-dir", str(data_dir), f"a demo {who} at {about['url']} (pid {about['pid']})", remedy=remedy
        )
    if about:
        _end(int(about["pid"]))
    end_postgresql(data_dir)
    _end_sandbox(marker)
    shutil.rmtree(data_dir)


def stop_demo(data_dir: Path) -> None:
    """End a demo that was kept: its service, and its machines where they are real. Refused where there is none."""
    marker = _read(data_dir / _MARKER)
    if marker is None:
        raise Refused("--data-dir", str(data_dir), "no demo was kept there")
    about = _about(data_dir)
    if about:
        _end(int(about["pid"]))
    end_postgresql(data_dir)
    _end_sandbox(marker)
    mark(data_dir, keep=False)
    out.print("The demo has ended.")


def _end_sandbox(marker: dict[str, Any]) -> None:
    if marker.get("sandbox") and Path(marker["sandbox"]).exists():
        from deskwright.providers.libvirt.sandbox import Sandbox

        directory = Path(marker["sandbox"])
        Sandbox(directory).stop()
        shutil.rmtree(directory, ignore_errors=True)


def end_postgresql(data_dir: Path) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        _end(int((data_dir / "postgresql" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)


def mark(data_dir: Path, *, keep: bool, sandbox: Path | None = None) -> None:
    """sandbox: of the hypervisor that was started for this demo, see `providers.libvirt.sandbox`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        data_dir.chmod(0o711)  # PostgreSQL runs as another user then, and must get through
    marker = {"pid": os.getpid(), "keep": keep, "sandbox": str(sandbox) if sandbox else None}
    (data_dir / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _about(data_dir: Path) -> dict[str, Any] | None:
    about = _read(data_dir / "service.json")
    return about if about and _alive(int(about["pid"])) else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


def _end(pid: int, how: signal.Signals = signal.SIGTERM) -> None:
    end = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(OSError):
        os.kill(pid, how)
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.05)


def pid_of(service: Service) -> int:
    return service.process.pid if service.process else 0
