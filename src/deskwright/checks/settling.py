"""When a connection's health changes: at once, or only after several results in a row (hysteresis)."""

from dataclasses import dataclass

from deskwright.checks.table import Overall

USABLE = ("passed", "warning")


@dataclass(frozen=True)
class Standing:
    status: str
    """What counts now (V3): pending, passed, warning or failed."""
    failures: int
    """Failed results in a row, the last one among them."""
    passes: int
    """Results in a row with which it can be used."""
    settled: bool
    """Whether the last result counts; if not, the connection is looked at again soon."""


def stand(
    before: str, failures: int, passes: int, result: Overall, *, until_unhealthy: int, until_healthy: int
) -> Standing:
    """What counts after `result`. `before`, `failures` and `passes` are as they stood until then.

    A connection that was never settled takes its first result, whatever is asked: waiting would tell nobody anything.
    """
    if result == "failed":
        failures, passes = failures + 1, 0
        changes, enough = before in USABLE, failures >= until_unhealthy
    else:
        failures, passes = 0, passes + 1
        changes, enough = before == "failed", passes >= until_healthy
    settled = enough or not changes
    return Standing(result if settled else before, failures, passes, settled)
