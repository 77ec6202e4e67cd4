"""What tests of importing do with a file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deskwright.images import formats
from deskwright.images.build import Built, built
from deskwright.images.formats import Unfit
from deskwright.images.imported import import_file

Make = Callable[[Path], Path]
REAL = str(shutil.which("qemu-img"))


def brought(file: Path, into: Path, told: list[tuple[float, str]] | None = None) -> Built:
    return import_file(str(file), into, lambda share, doing: told.append((share, doing)) if told is not None else None)


def refused(file: Path, into: Path, code: str = formats.INVALID) -> str:
    """Why; and nothing is left of it."""
    with pytest.raises(Unfit) as caught:
        brought(file, into)
    assert caught.value.code == code
    assert built(into) is None
    assert not into.parent.exists() or list(into.parent.iterdir()) == []
    return str(caught.value)


def flat(folder: Path, part: str = "/etc/passwd") -> Path:
    file = folder / "a.vmdk"
    file.write_text(
        '# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        f'\n# Extent description\nRW 8 FLAT "{part}" 0\n'
    )
    return file
