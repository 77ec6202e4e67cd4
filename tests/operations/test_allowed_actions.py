"""What pages offer for a Cloud PC is what its actions accept (R7)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.operations import cloud_pc_view, cloud_pcs, remote_actions
from deskwright.operations import resize_checks as resizing
from tests.company import PLAN, Company

LARGE = "Cloud PC Enterprise 8vCPU/32GB/256GB"
SMALL = "Cloud PC Enterprise 2vCPU/4GB/64GB"
OPERATIONS: dict[str, Callable[..., Any]] = {
    "retry": cloud_pcs.retry,
    "keep": cloud_pcs.keep,
    "end-grace": cloud_pcs.end_grace,
    "cancel": cloud_pcs.cancel,
    "power-on": remote_actions.power_on,
    "restart": remote_actions.restart,
    "power-off": remote_actions.power_off,
    "troubleshoot": remote_actions.troubleshoot,
    "repair": cloud_pcs.repair,
    "rename": remote_actions.rename,
    "account-type": remote_actions.change_user_account_type,
    "snapshot": remote_actions.create_snapshot,
    "restore": remote_actions.restore,
    "resize": remote_actions.resize,
    "reprovision": cloud_pcs.reprovision,
}


def ready(company: Company) -> None:
    """Adele has a Cloud PC by a licence of her own, and there are plans to move to."""
    company.site()
    company.plan()
    for name, gb in ((LARGE, 256), (SMALL, 64)):
        company.plan(name, 1)
        company.sql("UPDATE service_plans SET storage_gb = :gb WHERE id = :id", gb=gb, id=company.ids[name])
    company.group()
    company.policy()
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.license(PLAN, "adele")
    company.join("adele", "Sales")


def failed(company: Company) -> None:
    ready(company)
    company.fault("C2", "imageNotSupportedFail")
    company.settle()


def disabled(company: Company) -> None:
    failed(company)
    company.enable_user("adele", False)


def pending(company: Company) -> None:
    ready(company)
    company.seats(PLAN, 0)
    company.settle()


def provisioned(company: Company) -> None:
    ready(company)
    company.settle()


def powered_off(company: Company) -> None:
    provisioned(company)
    act(company, "power-off")
    company.settle()


def restarting(company: Company) -> None:
    provisioned(company)
    act(company, "restart")


def with_snapshot(company: Company) -> None:
    provisioned(company)
    act(company, "snapshot")
    company.settle()


def in_grace(company: Company) -> None:
    with_snapshot(company)
    company.leave("adele", "Sales")
    company.settle()


def resizing_(company: Company) -> None:
    provisioned(company)
    act(company, "resize")


def gone(company: Company) -> None:
    in_grace(company)
    act(company, "end-grace")
    company.settle()


STATES = [failed, disabled, pending, provisioned, powered_off, restarting, with_snapshot, in_grace, resizing_, gone]


def adele(company: Company) -> UUID:
    ((found,),) = company.sql("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant ORDER BY created_at LIMIT 1")
    return UUID(str(found))


OPTIONS: dict[str, dict[str, Any]] = {
    "rename": {"display_name": "Adele's desk"},
    "account-type": {"user_account_type": "administrator"},
    "resize": {"service_plan": LARGE},
    "repair": {"steps": ["P1"]},
}


def act(company: Company, name: str) -> None:
    pc = str(adele(company))
    options = OPTIONS.get(name, {})
    if name == "restore":
        points = remote_actions.snapshots(company.world.database, company.tenant, pc)
        options = {"snapshot_id": points[0]["id"] if points else "none"}
    OPERATIONS[name](company.world, company.tenant, "ann", pc, **options)


@pytest.mark.parametrize("state", STATES, ids=lambda s: s.__name__.strip("_"))
def test_what_is_offered_is_accepted_and_what_is_not_is_refused(
    state: Callable[[Company], None], company: Company
) -> None:
    state(company)
    offered = cloud_pc_view.whole(company.world, company.tenant, adele(company))["allowed"]
    for name in OPERATIONS.keys() - set(offered):
        with pytest.raises(Refused):
            act(company, name)
    # The first that is accepted changes what the others may: one is enough for each state and turn.
    for name in offered[:1]:
        act(company, name)


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n not in ("retry", "keep", "end-grace", "cancel")])
def test_each_action_of_a_usable_one_is_accepted_where_it_is_offered(name: str, company: Company) -> None:
    (powered_off if name == "power-on" else with_snapshot)(company)
    assert name in cloud_pc_view.whole(company.world, company.tenant, adele(company))["allowed"]
    act(company, name)


def test_plans_to_resize_to_say_why_not(company: Company) -> None:
    provisioned(company)
    found = {
        t["displayName"]: t["why"] for t in resizing.targets(company.world.database, company.tenant, adele(company))
    }
    assert found[LARGE] is None
    assert found[PLAN] == "it has this plan"
    assert "can grow, but not shrink" in str(found[SMALL])
    company.seats(LARGE, 0)
    found = {
        t["displayName"]: t["why"] for t in resizing.targets(company.world.database, company.tenant, adele(company))
    }
    assert found[LARGE] == "all seats are in use"


def test_a_policys_edit_is_told_and_touches_nothing(company: Company) -> None:
    """E7, R10."""
    provisioned(company)
    assert cloud_pc_view.whole(company.world, company.tenant, adele(company))["drift"] == []
    company.sql("UPDATE policies SET locale = 'de-DE', single_sign_on = false WHERE tenant_id = :tenant")
    pc = cloud_pc_view.whole(company.world, company.tenant, adele(company))
    assert [(d["setting"], d["made"], d["now"]) for d in pc["drift"]] == [
        ("locale", "en-US", "de-DE"),
        ("enableSingleSignOn", True, False),
    ]
    assert pc["status"] == Status.PROVISIONED
    act(company, "reprovision")
    company.settle()
    assert cloud_pc_view.whole(company.world, company.tenant, adele(company))["drift"] == []


def test_a_reprovisions_preview_says_why_it_would_be_refused_and_deletes_nothing(company: Company) -> None:
    """V5."""
    provisioned(company)
    preview = cloud_pcs.reprovision_preview(company.world, company.tenant, str(adele(company)))
    assert (preview["provisioningPolicyName"], preview["refused"]) == ("Desktops", None)
    company.sql("UPDATE policies SET region = 'nowhere' WHERE tenant_id = :tenant")
    preview = cloud_pcs.reprovision_preview(company.world, company.tenant, str(adele(company)))
    assert preview["refused"].code == "capacityUnavailable"
    assert company.status("adele") == Status.PROVISIONED
