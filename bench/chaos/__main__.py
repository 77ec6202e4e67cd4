"""``python -m bench.chaos``: the crash matrix, as a table or with ``--json``."""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.chaos.cases import Case, Result, every_case
from bench.chaos.judging import Judgement
from bench.chaos.report import show
from deskwright.bench import machine
from deskwright.bench.ground import server


def chaos(
    only: Annotated[str, typer.Option(help="Only cases whose name contains this.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Name the cases, and run none.")] = False,
) -> None:
    """Kill, freeze and mislead real workers, their database and their providers, and count what is lost."""
    cases = [case for case in every_case() if only in case.name]
    if listed:
        for case in cases:
            print(case.name)
        return
    told, began = Console(stderr=True), time.monotonic()
    before = machine.load()
    with tempfile.TemporaryDirectory(prefix="dwc") as directory, server() as running:
        Path(directory).chmod(0o711)
        results = [_one(case, running, Path(directory), told) for case in cases]
    took = time.monotonic() - began
    if as_json:
        print(json.dumps(_report(results, took, before), indent=2))
    else:
        show(Console(), results)
        print(f"{took:.0f} s, load average {before[0]} before and {machine.load()[0]} after.")
    if any(result.judgement for result in results):
        raise typer.Exit(1)


def _one(case: Case, running: Any, directory: Path, told: Console) -> Result:
    told.print(case.name, style="dim", highlight=False)
    try:
        return case.run(running, directory)
    except (TimeoutError, AssertionError) as stuck:
        return Result(case.name, 0, Judgement(lost=[str(stuck)]))


def _report(results: list[Result], took: float, before: list[float]) -> dict[str, Any]:
    resumed = [seconds for result in results for seconds in result.resumed]
    return {
        "cases": [result.as_json() for result in results],
        "subjects": sum(result.subjects for result in results),
        "lost": sum(len(r.judgement.lost) for r in results),
        "doubled": sum(len(r.judgement.doubled) for r in results),
        "leaked": sum(len(r.judgement.leaked) for r in results),
        "resumedSecondsMedian": round(statistics.median(resumed), 2) if resumed else None,
        "resumedSecondsWorst": round(max(resumed), 2) if resumed else None,
        "seconds": round(took, 1),
        "loadAverage": {"before": before, "after": machine.load()},
        "python": sys.version.split()[0],
    }


if __name__ == "__main__":
    typer.run(chaos)
