"""A build that outlives who asked for it: seen from outside, one at a time, begun again after a death."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deskwright.images import process
from deskwright.images.process import Progress, look, start
from tests.images.parts import needs_tools

PROGRAM = (sys.executable, "-m", "tests.images.slow_build")

pytestmark = needs_tools


def wait(into: Path, seen: Callable[[Progress], object], seconds: float = 20) -> Progress:
    until = time.monotonic() + seconds
    while not seen(progress := look(into)):
        assert time.monotonic() < until, progress
        time.sleep(0.02)
    return progress


def builder(into: Path) -> int:
    """The process that builds: the one that holds the lock's file open."""
    lock = into.with_name(f".{into.name}.lock")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if descriptor.resolve() == lock:
                return int(descriptor.parts[2])
    raise AssertionError("nobody builds")


@pytest.fixture
def into(bin_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    into = tmp_path / "images" / "slow"
    yield into
    if look(into).running:
        os.kill(builder(into), signal.SIGKILL)


def go_on(into: Path) -> None:
    (into.parent / "go-on").write_text("")


def test_before_the_first_build_there_is_nothing(into: Path) -> None:
    assert look(into) == Progress(0.0, "", None, None, running=False)


def test_it_runs_from_the_moment_it_was_started_to_its_end(into: Path) -> None:
    start("slow", into, program=PROGRAM)
    assert look(into).running
    halfway = wait(into, lambda progress: progress.fraction == 0.5)
    assert halfway.running
    assert halfway.finished is None
    go_on(into)
    done = wait(into, lambda progress: progress.finished)
    assert done.finished is not None
    assert done.finished.disk == into / "disk.qcow2"
    assert (done.fraction, done.failed, done.running) == (1.0, None, False)


def test_while_one_runs_no_second_one_begins(into: Path) -> None:
    start("slow", into, program=PROGRAM)
    wait(into, lambda progress: progress.fraction == 0.5)
    first = builder(into)
    start("slow", into, program=PROGRAM)
    assert builder(into) == first
    with pytest.raises(process.AlreadyRunning):
        process.run("slow", into)


def test_a_failure_is_told_and_the_build_may_be_started_again(into: Path) -> None:
    start("fails", into, program=PROGRAM)
    go_on(into)
    failed = wait(into, lambda progress: progress.failed)
    assert failed.failed == "mmdebstrap failed\nno space left"
    wait(into, lambda progress: not progress.running)
    start("slow", into, program=PROGRAM)
    wait(into, lambda progress: progress.finished)


def test_one_that_was_killed_is_seen_and_started_again(into: Path) -> None:
    start("slow", into, program=PROGRAM)
    wait(into, lambda progress: progress.fraction == 0.5)
    os.kill(builder(into), signal.SIGKILL)
    dead = wait(into, lambda progress: not progress.running)
    assert (dead.finished, dead.failed, dead.fraction) == (None, None, 0.5)
    start("slow", into, program=PROGRAM)
    assert look(into).running
    go_on(into)
    wait(into, lambda progress: progress.finished)


def test_an_image_that_is_there_is_not_built_again(into: Path) -> None:
    start("slow", into, program=PROGRAM)
    go_on(into)
    wait(into, lambda progress: progress.finished)
    start("slow", into, program=("false",))
    assert look(into).finished


def test_the_real_program_builds(into: Path) -> None:
    start("debian-12-tiny", into)
    done = wait(into, lambda progress: progress.finished or progress.failed)
    assert done.failed is None
    assert done.finished is not None
    assert done.finished.kernel == into / "vmlinuz"
