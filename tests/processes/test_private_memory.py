"""A worker that dies by accident leaves no core dump, in which its passwords would stand."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.company import Company
from tests.processes.test_workers import until

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("command", [("worker",), ("serve", "--port", "0", "--no-worker")], ids=lambda c: c[0])
def test_a_process_that_dies_leaves_no_core(company: Company, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Also where the shell that started it would allow one."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("this shell allows no core dumps, so none could be seen")
    environment = {
        **os.environ,
        "DESKWRIGHT_DATABASE_URL": company.world.database.url,
        "DESKWRIGHT_DATA_DIR": str(company.world.settings.data_dir),
    }
    log = tmp_path / "log"
    allowing = ["prlimit", f"--core={'unlimited' if hard < 0 else hard}", "--"]
    with log.open("wb") as out:
        started = subprocess.Popen(
            [*allowing, sys.executable, "-m", "deskwright", *command],
            env=environment,
            cwd=tmp_path,
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: b"Stop with Ctrl-C" in log.read_bytes(), 60)
        limits = Path(f"/proc/{started.pid}/limits").read_text()
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        started.send_signal(signal.SIGSEGV)
        assert started.wait(20) == -signal.SIGSEGV
    finally:
        started.kill()
        started.wait(20)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("core")] == []
