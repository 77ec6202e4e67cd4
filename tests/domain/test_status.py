"""The table of a Cloud PC's legal transitions."""

from itertools import product

import pytest

from deskwright.domain.status import (
    SETTLED,
    TAKEN_AWAY,
    TRANSITIONS,
    USABLE,
    WITHOUT_SEAT,
    Status,
    sources_of,
)

FINAL = {Status.GONE}


def _reachable(start: Status) -> set[Status]:
    seen, todo = set[Status](), [start]
    while todo:
        for then in TRANSITIONS[todo.pop()] - seen:
            seen.add(then)
            todo.append(then)
    return seen


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_statuses_are_spelled_as_the_api_spells_them() -> None:
    api = {
        "notProvisioned",
        "pendingProvision",
        "provisioning",
        "provisioned",
        "provisionedWithWarnings",
        "failed",
        "resizing",
        "restoring",
        "inGracePeriod",
        "deprovisioning",
    }
    assert {s.value for s in Status} - {"gone"} == api


def test_gone_has_no_exits() -> None:
    assert not TRANSITIONS[Status.GONE]


@pytest.mark.parametrize("status", [s for s in Status if s not in FINAL], ids=str)
def test_every_other_status_has_a_way_out(status: Status) -> None:
    """R7"""
    assert TRANSITIONS[status]
    assert Status.GONE in _reachable(status), "whatever happens, it can be got rid of"


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.NOT_PROVISIONED], ids=str)
def test_every_status_can_be_reached(status: Status) -> None:
    assert status in _reachable(Status.NOT_PROVISIONED)


def test_no_status_becomes_itself() -> None:
    assert not [s for s in Status if s in TRANSITIONS[s]]


def test_the_two_questions_agree() -> None:
    for now, then in product(Status, Status):
        assert (now in sources_of(then)) == (then in TRANSITIONS[now])


def test_only_what_was_provisioned_gets_grace() -> None:
    """E8"""
    assert set(sources_of(Status.IN_GRACE)) == {Status.PROVISIONED, Status.WARNINGS}


def test_a_usable_cloud_pc_is_taken_away_only_through_grace() -> None:
    """E8"""
    assert Status.DEPROVISIONING not in TRANSITIONS[Status.PROVISIONED] | TRANSITIONS[Status.WARNINGS]
    assert Status.DEPROVISIONING in TRANSITIONS[Status.IN_GRACE]


def test_a_cloud_pc_in_grace_comes_back_untouched() -> None:
    """E8: to what it was, never by a new run."""
    assert {Status.PROVISIONED, Status.WARNINGS} <= TRANSITIONS[Status.IN_GRACE]
    assert Status.PROVISIONING not in TRANSITIONS[Status.IN_GRACE]


def test_a_remote_action_gives_back_what_it_took() -> None:
    """E8: never the way to grace or to the end; what was lost meanwhile is acted on from what it was."""
    for status in TAKEN_AWAY:
        assert set(sources_of(status)) == TRANSITIONS[status] == {Status.PROVISIONED, Status.WARNINGS}
    assert not TAKEN_AWAY & (USABLE | SETTLED | WITHOUT_SEAT)


def test_reprovision_and_retry_start_from_where_they_may() -> None:
    """V1, V5; pending is the ordinary start."""
    assert set(sources_of(Status.PROVISIONING)) == {
        Status.PENDING,
        Status.PROVISIONED,
        Status.WARNINGS,
        Status.FAILED,
    }


def test_a_run_ends_in_every_documented_outcome() -> None:
    assert {Status.PROVISIONED, Status.WARNINGS, Status.FAILED} <= TRANSITIONS[Status.PROVISIONING]


def test_a_seat_is_held_by_every_live_cloud_pc_but_two() -> None:
    """E6: grace holds its seat."""
    assert {Status.NOT_PROVISIONED, Status.PENDING, Status.GONE} == WITHOUT_SEAT


def test_people_can_work_during_grace() -> None:
    assert {Status.PROVISIONED, Status.WARNINGS, Status.IN_GRACE} == USABLE
    assert USABLE <= SETTLED
    assert not SETTLED & {Status.PROVISIONING, Status.DEPROVISIONING, Status.GONE}
