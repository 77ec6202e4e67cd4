"""When a connection's health changes: by a number of results in a row, of which one is the default."""

import pytest

from deskwright.checks.settling import Standing, stand
from deskwright.checks.table import Overall


def through(before: str, results: list[Overall], **limits: int) -> list[Standing]:
    found = [Standing(before, 0, 0, True)]
    for result in results:
        last = found[-1]
        found.append(stand(last.status, last.failures, last.passes, result, **limits))
    return found[1:]


def test_by_default_every_result_counts() -> None:
    seen = through("passed", ["failed", "warning", "passed", "failed"], until_unhealthy=1, until_healthy=1)
    assert [s.status for s in seen] == ["failed", "warning", "passed", "failed"]
    assert all(s.settled for s in seen)


def test_a_failure_counts_when_there_were_enough_in_a_row() -> None:
    results: list[Overall] = ["failed", "failed", "passed", "failed", "failed", "failed"]
    seen = through("passed", results, until_unhealthy=3, until_healthy=1)
    assert [s.status for s in seen] == ["passed"] * 5 + ["failed"]
    assert [s.settled for s in seen] == [False, False, True, False, False, True]
    assert [s.failures for s in seen] == [1, 2, 0, 1, 2, 3]


def test_so_does_a_pass_after_a_failure() -> None:
    seen = through("failed", ["warning", "failed", "passed", "warning"], until_unhealthy=1, until_healthy=2)
    assert [s.status for s in seen] == ["failed", "failed", "failed", "warning"]
    assert [s.passes for s in seen] == [1, 0, 1, 2]


def test_passed_and_warning_are_both_usable_and_change_at_once() -> None:
    seen = through("passed", ["warning", "passed"], until_unhealthy=5, until_healthy=5)
    assert [s.status for s in seen] == ["warning", "passed"]


@pytest.mark.parametrize("first", ["passed", "warning", "failed"])
def test_a_new_connection_takes_its_first_result(first: Overall) -> None:
    """Nothing was usable before, and nothing is gained by telling nothing."""
    (seen,) = through("pending", [first], until_unhealthy=3, until_healthy=3)
    assert (seen.status, seen.settled) == (first, True)
