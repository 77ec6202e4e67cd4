import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.guest.linux_guest import LinuxGuest


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[LinuxGuest]:
    made = LinuxGuest(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bare_guest(tmp_path: Path) -> Iterator[LinuxGuest]:
    """A guest with empty /proc and /sys, for what the kernel would say there."""
    made = LinuxGuest(tmp_path, kernel=False)
    yield made
    made.close()


Wine = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    """Runs a command line of Windows in a Wine of this session's own."""
    prefix = tmp_path_factory.mktemp("wine")
    # Nothing of a desktop: no display, no offer to install Mono or Gecko.
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")},
        "WINEPREFIX": str(prefix),
        "WINEDEBUG": "-all",
        "WINEARCH": "win64",
        "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe=",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["wine", *command], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    # What stays in the background would hold a pipe open.
    nowhere = subprocess.DEVNULL
    boot = ["wine", "wineboot.exe", "--init"]
    subprocess.run(boot, env=environment, stdout=nowhere, stderr=nowhere, check=True, timeout=120)
    # While one program runs, the rest of Wine stays: each command else starts it anew, and waits for its end.
    with subprocess.Popen(
        ["wine", "cmd.exe"], env=environment, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere
    ) as staying:
        yield run
        staying.communicate(b"exit\r\n", timeout=30)
    subprocess.run(["wineserver", "--kill"], env=environment, check=False, timeout=30)
