"""A build as a process of its own, which outlives the one that asked for it and is looked at through files.

Beside the image's directory lie its status (a small JSON file), a log and a lock. Who builds holds the lock: so
whether a build runs is known even when its process was killed and could say nothing more.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deskwright.images import build as building
from deskwright.images import tools
from deskwright.images.build import Built

_INHERITED = "DESKWRIGHT_IMAGE_LOCK"
_PROGRAM = (sys.executable, "-m", "deskwright.images")

# `look` holds the lock for a moment to see whether it is free; who wants to build outwaits that.
_TRIES, _PAUSE_SECONDS = 20, 0.02


class AlreadyRunning(Exception):
    """Another process builds into that directory."""


@dataclass(frozen=True)
class Progress:
    fraction: float
    """From 0 to 1."""
    doing: str
    finished: Built | None
    failed: str | None
    """Why the last build failed, in a few lines; None where it did not fail or was killed."""
    running: bool


def start(
    recipe_id: str,
    into: Path,
    *,
    cache: Path | None = None,
    add: tuple[str, ...] = (),
    program: tuple[str, ...] = _PROGRAM,
    needs: tuple[str, ...] | None = None,
) -> None:
    """Build in a process of its own; nothing is done where one runs already or the image is there.

    What that process prints goes to a log beside the directory. Raises MissingTools. `program` is put in the place of
    the command that builds, and `needs` says which programs that one wants.
    """
    if building.built(into) or look(into).running:
        return
    tools.require("setsid", *(building.programs() if needs is None else needs))
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        # The lock is handed over: it is held before `start` returns, and until the process that builds has ended.
        with _locked(into) as lock, _beside(into, "log").open("wb") as log:
            _say(into, {"fraction": 0.0, "doing": "starting"})
            subprocess.run(  # noqa: S603 - our own program
                ["setsid", "--fork", *program, *_arguments(recipe_id, into, cache, add)],  # noqa: S607 - see tools.path
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                env={**os.environ, "PATH": tools.path(), _INHERITED: str(lock)},
                check=True,
            )
    except AlreadyRunning:
        return  # another one was quicker


def look(into: Path) -> Progress:
    """How far the build into that directory is. One that died is not running, neither finished nor failed."""
    finished = building.built(into)
    if finished:
        return Progress(1.0, "done", finished, None, running=False)
    running = _is_locked(into)
    try:
        said = json.loads(_beside(into, "status.json").read_text())
    except FileNotFoundError:
        said = {}
    finished = building.built(into)  # it may have become so in between
    fraction, doing = said.get("fraction", 0.0), said.get("doing", "")
    return Progress(fraction, doing, finished, said.get("failed"), running=running and finished is None)


def run(
    recipe_id: str,
    into: Path,
    *,
    cache: Path | None = None,
    add: tuple[str, ...] = (),
    watch: Callable[[float, str], None] = lambda share, doing: None,
    make: Callable[..., Built] = building.build,
) -> Built:
    """Build in this process, saying how far it is where `look` finds it. Raises AlreadyRunning and what `make` does."""
    into = into.absolute()
    into.parent.mkdir(parents=True, exist_ok=True)
    with _inherited() or _locked(into):
        said: dict[str, Any] = {}

        def tell(fraction: float, doing: str) -> None:
            now = {"fraction": round(fraction, 2), "doing": doing}
            if now != said:
                said.update(now)
                _say(into, now)
            watch(fraction, doing)

        try:
            return make(recipe_id, into, tell, cache=cache, add=add)
        except BaseException as failure:
            _say(into, {**said, "failed": str(failure) or type(failure).__name__})
            raise


def _arguments(recipe_id: str, into: Path, cache: Path | None, add: tuple[str, ...]) -> list[str]:
    arguments = [recipe_id, "--into", str(into.absolute())]
    if cache:
        arguments += ["--cache", str(cache.absolute())]
    return [*arguments, *(word for package in add for word in ("--add", package))]


def _beside(into: Path, what: str) -> Path:
    return into.with_name(f".{into.name}.{what}")


def _say(into: Path, status: dict[str, Any]) -> None:
    written = _beside(into, f"status.{os.getpid()}")
    written.write_text(json.dumps(status))
    written.replace(_beside(into, "status.json"))


@contextmanager
def _locked(into: Path) -> Iterator[int]:
    """Hold the lock of that directory's build; AlreadyRunning where another process does. Yields its descriptor."""
    with _beside(into, "lock").open("a") as lock:
        for tries_left in reversed(range(_TRIES)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries_left:
                    raise AlreadyRunning(f"another process is building {into}") from None
                time.sleep(_PAUSE_SECONDS)
        yield lock.fileno()


def _inherited() -> Any:
    """The lock that `start` handed to this process, or None."""
    number = os.environ.pop(_INHERITED, None)
    return number and os.fdopen(int(number), "a")


def _is_locked(into: Path) -> bool:
    try:
        with _beside(into, "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def forget(into: Path) -> None:
    """Forget that the last build failed, so that the next `look` finds none."""
    _beside(into, "status.json").unlink(missing_ok=True)
