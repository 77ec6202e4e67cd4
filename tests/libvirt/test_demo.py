"""`deskwright demo --compute libvirt`, as the README has it: from nothing to two Cloud PCs, and to nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.guests
_SECONDS = 900


def test_the_demo_with_real_machines_shows_its_whole_life_and_leaves_nothing(images: Path, tmp_path: Path) -> None:
    data = tmp_path / "demo"
    before = set(Path("/tmp").glob("deskwright-*"))
    command = [sys.executable, "-m", "deskwright", "demo", "--compute", "libvirt", "--data-dir", str(data)]
    environment = {**os.environ, "DESKWRIGHT_IMAGE_DIR": str(images), "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for said in (
        "adele@workshop.example  1/1/4  provisioned: ready",
        "diego@workshop.example  1/1/4  provisioned: ready",
        "adele is an administrator: member of group sudo",
        "adele is signed in",
        "Nothing is left: no machine, no disk, no network, no address.",
    ):
        assert said in done.stdout, done.stdout
    # A shell's screen: text on black, more of it than the login prompt's three lines.
    screen = Image.open(data / "signed-in.png").convert("L")
    written = [y for y in range(screen.height) if any(screen.crop((0, y, screen.width, y + 1)).tobytes())]
    assert len(written) > 100
    assert set(Path("/tmp").glob("deskwright-*")) == before
