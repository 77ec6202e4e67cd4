"""What the tests of images share."""

import os
from pathlib import Path

import pytest

from tests.images.parts import root_archive, stand_in_for_mmdebstrap


@pytest.fixture
def bin_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose programs go before those of the system; its mmdebstrap makes a very small file system."""
    directory = tmp_path / "bin"
    stand_in_for_mmdebstrap(directory, root_archive(tmp_path / "small.tar"))
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for imports, by its real path."""
    made = tmp_path.resolve() / "imports"
    made.mkdir()
    return made


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "images" / "image-1"
