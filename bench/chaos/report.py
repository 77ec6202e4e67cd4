"""The table a person reads."""

import statistics

from rich.console import Console
from rich.table import Table

from bench.chaos.cases import Result


def show(console: Console, results: list[Result]) -> None:
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("Case")
    for heading in ("Subjects", "Lost", "Doubled", "Leaked", "Resumed, median", "worst", "Over"):
        table.add_column(heading, justify="right")
    for result in results:
        wrong, resumed = result.judgement, result.resumed
        table.add_row(
            result.name,
            str(result.subjects),
            *(str(len(found)) for found in (wrong.lost, wrong.doubled, wrong.leaked)),
            _seconds(statistics.median(resumed) if resumed else None),
            _seconds(max(resumed) if resumed else None),
            _seconds(result.over),
            style="bold red" if wrong else "",
        )
    console.print(table)
    for result in results:
        for line in (*result.judgement.lost, *result.judgement.doubled, *result.judgement.leaked):
            console.print(f"{result.name}: {line}", style="red", highlight=False)
    everything = [seconds for result in results for seconds in result.resumed]
    if everything:
        median, worst = statistics.median(everything), max(everything)
        console.print(
            f"{sum(r.subjects for r in results)} subjects in {len(results)} cases. Taken up again after a median of "
            f"{median:.1f} s, at worst {worst:.1f} s; a worker counts as dead after 6 s of silence."
        )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
