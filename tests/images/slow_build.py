"""A program in the place of the one that builds: says that it has begun, waits, and ends as its recipe's name tells."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deskwright.images import process
from deskwright.images.build import MANIFEST, Built
from deskwright.images.tools import BuildFailed


def make(recipe_id: str, into: Path, tell: Callable[[float, str], None], **_: Any) -> Built:
    tell(0.5, json.dumps({"recipe": recipe_id}))
    until = time.monotonic() + 60
    while not (into.parent / "go-on").exists():
        if time.monotonic() > until:
            raise BuildFailed("waiting")
        time.sleep(0.02)
    if recipe_id == "fails":
        raise BuildFailed("mmdebstrap", ["no space left"])
    image = Built(into / "disk.qcow2", None, None, "", 1, "linux", "bios", "")
    into.mkdir()
    (into / MANIFEST).write_text(image.as_json())
    return image


if __name__ == "__main__":
    process.run(sys.argv[1], Path(sys.argv[3]), make=make)
