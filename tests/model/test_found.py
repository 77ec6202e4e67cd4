"""What the generated sequences found, each as short as it became: the rule that was broken, and how."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deskwright.store.database import Database
from tests.model.companies import companies
from tests.model.machine import Machine


@pytest.fixture
def tenant(server: Database, tmp_path: Path) -> Iterator[Machine]:
    """Ann and Ben in group g0, licensed for the plan small, reached by policy alpha; nothing is settled yet."""
    with companies(server, tmp_path) as fresh:
        machine = fresh()
        yield machine
        machine.settle()
        machine.teardown()


def test_e1_a_freed_seat_is_not_given_to_somebody_just_disabled(tenant: Machine) -> None:
    """E1: disabling a user starts nothing new, also when a seat comes before anyone has looked at the change."""
    tenant.begin(seats=1, network=())
    tenant.settle()
    tenant.enable(user="ben", enabled=False)
    tenant.set_seats(plan="small", seats=2)


def test_e6_a_seat_kept_for_somebody_just_disabled_goes_to_the_next(tenant: Machine) -> None:
    """E6: whoever is first in the queue and drops out of it holds up nobody."""
    tenant.begin(seats=1, network=())
    tenant.settle()
    tenant.join(user="cat", group="g0")
    tenant.settle()
    tenant.enable(user="ben", enabled=False)
    tenant.set_seats(plan="small", seats=2)


def test_r7_a_seat_for_somebody_whose_policy_has_just_been_deleted(tenant: Machine) -> None:
    """E9, R7: a pending one whose policy is deleted has nothing to be made by, whoever comes first."""
    tenant.begin(seats=1, network=())
    tenant.settle()
    tenant.unassign(policy="alpha", group="g0")
    tenant.delete_policy(policy="alpha")
    tenant.set_seats(plan="small", seats=2)


def test_e4_a_freed_seat_goes_by_the_policy_that_wins_now(tenant: Machine) -> None:
    """E4: whoever has just been reached by an earlier assigned policy is provisioned by that one."""
    tenant.begin(seats=1, network=())
    tenant.settle()
    tenant.create_policy(policy="beta", network=())
    tenant.assign(policy="beta", group="g1")
    tenant.unassign(policy="alpha", group="g0")
    tenant.assign(policy="alpha", group="g0")
    tenant.settle()
    tenant.join(user="ben", group="g1")
    tenant.set_seats(plan="small", seats=2)


def test_v3_who_waits_for_a_connection_after_a_retry_goes_by_the_policy_that_wins(tenant: Machine) -> None:
    """E4, V3: back in the queue it waits like anyone, for the policy that reaches the user now."""
    tenant.begin(seats=2, network=("north",))
    tenant.add_fault(fault=("C1", "internalServerError"), user=None, attempts=())
    tenant.settle()
    tenant.create_policy(policy="beta", network=())
    tenant.assign(policy="beta", group="g1")
    tenant.clear_faults()
    tenant.unassign(policy="alpha", group="g0")
    tenant.assign(policy="alpha", group="g0")
    tenant.join(user="ann", group="g1")
    tenant.health(connection="south", healthy=True)
    tenant.health(connection="north", healthy=False)
    tenant.does("retry", ("ann", "small"))
    tenant.settle()


def test_e1_who_waits_for_a_connection_and_is_disabled_does_not_start(tenant: Machine) -> None:
    """E1, V3: disabled while the run was under way, then without a connection: nothing new is started."""
    tenant.begin(seats=2, network=("north",))
    tenant.settle()
    tenant.does("reprovision", ("ann", "small"))
    tenant.enable(user="ann", enabled=False)
    tenant.health(connection="north", healthy=False)
    tenant.settle()


def test_v5_nothing_is_deleted_for_somebody_just_deleted(tenant: Machine) -> None:
    """V5: what could not be made again is not deleted."""
    tenant.begin(seats=2, network=())
    tenant.settle()
    tenant.delete_user(user="ann")
    tenant.does("reprovision", ("ann", "small"))


def test_l4_a_lost_job_of_a_clean_up_is_found(tenant: Machine) -> None:
    """L4, R7: what is being deprovisioned and has nothing to release is gone, whatever became of its job."""
    tenant.begin(seats=1, network=())
    tenant.add_fault(fault=("C1", "internalServerError"), user=None, attempts=())
    tenant.settle()
    tenant.leave(user="ann", group="g0")
    tenant.trouble_in_the_queue(what="lost", done=1, seed=0)


def test_e6_a_lost_job_of_a_freed_seat_is_found(tenant: Machine) -> None:
    """E6: whoever waits for a seat gets the one that is free, whatever became of the job that was to give it."""
    tenant.begin(seats=1, network=())
    tenant.settle()
    tenant.leave(user="ann", group="g0")
    tenant.settle()
    tenant.does("end_grace", ("ann", "small"))
    tenant.trouble_in_the_queue(what="lost", done=1, seed=0)
