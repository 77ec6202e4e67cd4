"""Fetch what the pages load, where it is missing."""

import argparse
import sys
from pathlib import Path

import deskwright.web.packages as packages
from deskwright.web.packages import NotInstalled, install


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deskwright.web.packages", description=packages.__doc__)
    parser.add_argument("--tests", type=Path, metavar="DIR", help="also put what only tests load into DIR")
    given = parser.parse_args(arguments)
    try:
        filled = install(given.tests)
    except NotInstalled as reason:
        print(reason, file=sys.stderr)
        return 1
    for directory in filled:
        print(f"Fetched the scripts of {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
