"""`deskwright bench`: speed and memory on this machine, as ratios in one run."""

from enum import StrEnum
from typing import Annotated

import typer

from deskwright.cli.output import JsonOption, err, out, print_json


class PartName(StrEnum):
    """The parts of the benchmark."""

    PROVISIONING = "provisioning"
    RECONCILE = "reconcile"
    WAITING = "waiting"
    MEMORY = "memory"
    API = "api"
    PAGES = "pages"
    VIEWERS = "viewers"
    DIRECTORY = "directory"
    MACHINES = "machines"


def bench(
    parts: Annotated[list[PartName] | None, typer.Argument(help="Parts to run; without any, all of them.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller and sooner done, less exact.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure speed and memory on this machine, with a database of its own: your data is not touched.

    Example: deskwright bench provisioning --quick
    """
    from deskwright.bench.parts import FULL, PARTS, QUICK, run_parts
    from deskwright.bench.results import Part, show_machine, show_part

    names = [str(name) for name in parts] if parts else list(PARTS)
    with err.status("starting PostgreSQL", spinner="line") as status:

        def tell(what: str) -> None:
            status.update(what)
            if not err.is_terminal:
                err.print(what, style="dim")

        def done(part: Part) -> None:
            if not as_json:
                show_part(out, part)

        report = run_parts(names, QUICK if quick else FULL, tell, done)
    if as_json:
        print_json(report)
    else:
        show_machine(out, report["machine"])
        for part in report["parts"].values():
            for measure in part["measures"]:
                if measure["met"] is False:
                    out.print(f"Goal not met: {part['title']}: {measure['measure'].strip()}", style="bold")


def main() -> None:
    """Entry point of ``python -m bench``."""
    typer.run(bench)
