"""``python -m deskwright.images RECIPE --into DIR``: build one image, seen to its end."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deskwright.images import process
from deskwright.images.recipes import RECIPES
from deskwright.images.tools import BuildFailed, MissingTools


def main(arguments: list[str]) -> int:
    """The exit code: 0 built, 1 failed, 3 another process is building it."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task(asked.recipe, total=1.0)
            image = process.run(
                asked.recipe,
                asked.into,
                cache=asked.cache,
                add=tuple(asked.add),
                watch=lambda share, doing: bar.update(task, completed=share, description=f"{asked.recipe}: {doing}"),
            )
    except process.AlreadyRunning as running:
        console.print(str(running), markup=False)
        return 3
    except (MissingTools, BuildFailed) as failure:
        console.print(str(failure), markup=False)
        return 1
    print(image.disk.parent)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deskwright.images", description="Build a gallery image.")
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--into", type=Path, required=True, help="the directory that will hold the image")
    parser.add_argument("--cache", type=Path, help="where packages are kept (unset: beside that directory)")
    parser.add_argument("--add", action="append", default=[], metavar="PACKAGE", help="a further package")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
