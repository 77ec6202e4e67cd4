"""Write the pages, or compare them."""

import argparse
import sys
from pathlib import Path

import deskwright.reference as reference
from deskwright.graph import coverage
from deskwright.graph.contract import VERSIONS
from deskwright.reference import PAGES, outdated


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deskwright.reference", description=reference.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    parser.add_argument("directory", type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    names = outdated(given.directory)
    if given.check:
        for version in VERSIONS:
            print(coverage.share(version))
        for name in names:
            print(f"{given.directory / name} is out of date: run `make docs`", file=sys.stderr)
        return 1 if names else 0
    for name in names:
        (given.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (given.directory / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote {given.directory / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
