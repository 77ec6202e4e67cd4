"""What `status`, `show`, `explain` and `ledger` are made of (R1, R2, R8, R9), on a real database."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import cloud_pcs, view
from deskwright.operations.change import TenantRef
from deskwright.operations.doctor import examine
from deskwright.provision.pipeline import PIPELINE
from tests.company import PLAN, Company
from tests.conftest import add_tenant

LARGE = "Cloud PC Enterprise 4vCPU/16GB/256GB"


def rows(company: Company, **options: Any) -> list[dict[str, Any]]:
    with company.world.database.engine.connect() as connection:
        return view.cloud_pcs(connection, company.tenant, **options)


def show(company: Company, user: str) -> dict[str, Any]:
    found = rows(company, user=f"{user}@contoso.com")
    with company.world.database.engine.connect() as connection:
        return view.timeline(connection, company.tenant, UUID(found[0]["id"]))


def explain(company: Company, user: str) -> dict[str, Any]:
    with company.world.database.engine.connect() as connection:
        return view.explain_user(connection, company.tenant, f"{user}@contoso.com")


def slow(company: Company) -> Company:
    """From here on the simulated world takes its real time, and only `advance` lets it pass."""
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    return company


# --- the list --------------------------------------------------------------------------------------


def test_a_provisioned_one_has_api_names_and_nothing_left_to_do(company: Company) -> None:
    company.basics("adele")
    (row,) = rows(company.settle())
    assert row["userPrincipalName"] == "adele@contoso.com"
    assert row["servicePlanName"] == PLAN
    assert row["provisioningPolicyName"] == "Desktops"
    assert row["managedDeviceName"].startswith("CPC-adele-")
    assert (row["status"], row["progress"], row["etaSeconds"], row["step"]) == ("provisioned", 1.0, None, None)
    assert row["siteName"] == "site-a"


def test_a_running_one_shows_step_attempt_and_eta(company: Company) -> None:
    company.basics("adele")
    slow(company).settle()
    (row,) = rows(company)
    assert (row["status"], row["stage"], row["step"], row["stepTitle"]) == (
        "provisioning",
        "core",
        "C1",
        "Allocate capacity",
    )
    assert (row["attempt"], row["attempts"]) == (1, 3)
    assert row["waitingReason"] == "reserving capacity"
    usual = sum(step.usual.total_seconds() for step in PIPELINE)
    assert 0.5 * usual < row["etaSeconds"] < 1.5 * usual
    before = row["progress"]
    (row,) = rows(company.advance(minutes=2))
    assert row["step"] == "C2"
    assert 0 <= before < row["progress"] < 1


def test_the_estimate_learns_from_past_runs(company: Company) -> None:
    company.basics("adele")
    company.settle()  # at infinite speed: everything takes next to no time
    company.user("alex")
    company.join("alex", "Sales")
    slow(company).settle()
    assert rows(company, user="alex@contoso.com")[0]["etaSeconds"] < 60


def test_between_two_attempts_the_next_one_is_shown_with_its_wait(company: Company) -> None:
    company.basics("adele")
    company.fault("C1", "capacityUnavailable", user="adele", attempts=[1])
    slow(company).settle()
    (row,) = rows(company)
    assert (row["attempt"], row["step"], row["steps"]) == (2, "C1", {})
    assert row["wakeDateTime"] > row["now"]
    assert row["etaSeconds"] > (row["wakeDateTime"] - row["now"]).total_seconds()


def test_the_queue_has_places_and_the_licence_without_policy_its_reason(company: Company) -> None:
    company.basics("adele", "alex", "ben")
    company.seats(PLAN, 1)
    company.user("pat")
    company.license(PLAN, "pat")
    found = {row["userPrincipalName"].split("@")[0]: row for row in rows(company.settle())}
    assert [found[u]["queuePosition"] for u in ("adele", "alex", "ben")] == [None, 1, 2]
    assert view.waiting_text(found["ben"]) == "waits for a seat, place 2"
    assert found["pat"]["waitingFor"] == "noPolicy"
    assert "policy" in view.waiting_text(found["pat"])
    assert view.waiting_text(found["adele"]) == ""


def test_filters_and_the_tenant_boundary(company: Company) -> None:
    company.basics("adele", "alex")
    company.fault("C1", "capacityUnavailable", user="alex")
    company.settle()
    assert [r["userPrincipalName"] for r in rows(company, statuses=["failed"])] == ["alex@contoso.com"]
    assert len(rows(company, user="ADELE@contoso.com")) == 1
    assert len(rows(company, limit=1)) == 1
    other = add_tenant(company.world.database, "fabrikam.com")
    stranger = TenantRef(other.id, "fabrikam.com")
    with company.world.database.engine.connect() as connection:
        assert view.cloud_pcs(connection, stranger) == []
        assert view.ledger(connection, stranger) == []
        with pytest.raises(NotFound):
            view.timeline(connection, stranger, UUID(rows(company)[0]["id"]))
        with pytest.raises(NotFound):
            view.explain_user(connection, stranger, "adele@contoso.com")


def test_the_list_costs_the_same_number_of_queries_however_many_there_are(company: Company) -> None:
    company.basics("u1", "u2")
    company.settle()
    asked: list[str] = []
    engine = company.world.database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    rows(company)
    few = len(asked)
    for n in range(3, 9):
        company.user(f"u{n}")
        company.join(f"u{n}", "Sales")
    company.settle()
    asked.clear()
    assert len(rows(company)) == 8
    assert len(asked) == few


def test_unsettled_counts_what_still_moves(company: Company) -> None:
    company.basics("adele")
    database, tenant = company.world.database, company.tenant
    with database.engine.connect() as connection:
        assert view.unsettled(connection, tenant) > 0
    company.settle()
    with database.engine.connect() as connection:
        assert view.unsettled(connection, tenant) == 0
        assert view.counts(connection, tenant) == {"provisioned": 1}


# --- one Cloud PC ----------------------------------------------------------------------------------


def test_the_timeline_of_a_failed_one_tells_everything(company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.fault("C4", "joinDomainFailed", user="adele")
    company.settle()
    told = show(company, "adele")
    (run,) = told["runs"]
    assert (run["number"], run["kind"], run["state"], run["provisioningPolicyName"]) == (
        1,
        "provision",
        "failed",
        "Desktops",
    )
    assert [a["number"] for a in run["attempts"]] == [1, 2, 3]
    assert len({a["managedDeviceName"] for a in run["attempts"]}) == 3
    assert [s["step"] for s in run["attempts"][0]["steps"]] == ["C1", "C2", "C3", "C4"]
    last = run["attempts"][2]["steps"][-1]
    assert (last["outcome"], last["code"]) == ("failed", "joinDomainFailed")
    assert last["startedDateTime"] <= last["endedDateTime"]
    shares = [s["share"] for a in run["attempts"] for s in a["steps"]]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1.01

    error = told["error"]
    assert (error["code"], error["step"]) == ("joinDomainFailed", "C4")
    assert error["cause"]
    assert error["remedies"]
    commands = [action["command"] for action in error["actions"]]
    assert "deskwright retry adele@contoso.com" in commands
    assert "deskwright connection check HQ" in commands
    assert commands[0] == f"deskwright fault clear {error['faultId']}"
    assert told["statusDetail"] == {"code": "joinDomainFailed", "message": error["message"]}

    assert {entry["kind"] for entry in told["ledger"]} == {"nic", "device", "computerAccount"}
    assert all(entry["left"] and entry["releaseDateTime"] for entry in told["ledger"])


def test_its_retry_becomes_a_second_run(company: Company) -> None:
    company.basics("adele")
    company.fault("C2", "imageNotSupportedFail", user="adele")
    company.settle().clear_faults()
    cloud_pcs.retry(company.world, company.tenant, "someone", "adele@contoso.com")
    company.settle()
    told = show(company, "adele")
    assert [(r["number"], r["state"], r["requestedBy"]) for r in told["runs"]] == [
        (1, "failed", "deskwright"),
        (2, "succeeded", "someone"),
    ]
    assert told["error"] is None
    assert told["reference"] == told["managedDeviceName"]


def test_warnings_come_with_their_mend(company: Company) -> None:
    company.basics("adele")
    company.fault("P6", "diskAllocationError", user="adele")
    company.settle()
    told = show(company, "adele")
    (warning,) = told["warnings"]
    assert (warning["code"], warning["step"], warning["stepTitle"]) == (
        "diskAllocationError",
        "P6",
        "Grow OS partition",
    )
    assert f"deskwright repair {told['managedDeviceName']}" in [a["command"] for a in warning["actions"]]


def test_grace_says_what_was_lost_and_when_it_ends(company: Company) -> None:
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    told = show(company, "adele")
    assert told["status"] == "inGracePeriod"
    assert "policy" in told["grace"]["lost"]
    assert told["grace"]["actor"]
    assert 6.9 * 86400 < told["grace"]["endsInSeconds"] <= 7 * 86400


def test_a_one_time_password_is_presented_once_deleted_and_audited(company: Company) -> None:
    company.site(directory={"identity": "local"})
    company.plan()
    company.group()
    company.policy()
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("lee")
    company.join("lee", "Sales")
    with pytest.raises(NotFound):
        view.reveal_sign_in(company.world, company.tenant, "me", "lee@contoso.com")
    company.settle()
    assert show(company, "lee")["signIn"]["oneTimePasswordWaits"] is True
    assert "oneTimePassword" not in show(company, "lee")["signIn"]
    with company.world.database.engine.connect() as connection:
        (waits,) = view.one_time_passwords(connection, company.tenant)
    first = view.reveal_sign_in(company.world, company.tenant, "me", waits["reference"])
    assert len(first["oneTimePassword"]) == 19
    again = view.reveal_sign_in(company.world, company.tenant, "me", "lee@contoso.com")
    assert again["oneTimePassword"] is None
    assert again["presentedDateTime"] is not None
    assert show(company, "lee")["signIn"]["oneTimePasswordWaits"] is False
    audited = company.sql("SELECT actor, before, after FROM audit_events WHERE activity LIKE '%password%'")
    assert [row.actor for row in audited] == ["me"]
    assert first["oneTimePassword"] not in str(audited)


def test_there_are_no_sign_in_details_before_it_is_provisioned(company: Company) -> None:
    company.basics("adele")
    slow(company).settle()
    with pytest.raises(Refused, match="no sign-in details yet"):
        view.reveal_sign_in(company.world, company.tenant, "me", "adele@contoso.com")


# --- why -------------------------------------------------------------------------------------------


def test_explain_names_the_winner_and_the_ignored(company: Company) -> None:
    company.basics("adele")
    company.group("Pilot")
    company.policy("Pilot desktops")
    company.assign("Pilot desktops", "Pilot")
    company.join("adele", "Pilot")
    told = explain(company.settle(), "adele")
    assert told["groups"] == ["Pilot", "Sales"]
    (verdict,) = told["verdicts"]
    assert (verdict["policy"]["displayName"], verdict["policy"]["groupName"]) == ("Desktops", "Sales")
    assert [p["displayName"] for p in verdict["ignoredPolicies"]] == ["Pilot desktops"]
    assert verdict["status"] == "provisioned"
    assert any("is ignored" in reason for reason in verdict["reasons"])


def test_explain_says_what_happens_next_and_when(company: Company) -> None:
    company.basics("adele", "alex")
    company.plan(LARGE)
    company.license(LARGE, "adele")
    company.seats(PLAN, 1)
    company.settle()
    waiting = explain(company, "alex")["verdicts"][0]
    assert (waiting["waitingFor"], waiting["queuePosition"]) == ("seat", 1)
    assert "place 1" in waiting["next"]["text"]
    assert len(explain(company, "adele")["verdicts"]) == 2

    company.leave("adele", "Sales")
    lost = explain(company, "adele")
    assert lost["changesWaiting"] is True
    assert lost["verdicts"][0]["action"] == "enter grace"
    company.settle()
    verdict = next(v for v in explain(company, "adele")["verdicts"] if v["status"] == "inGracePeriod")
    assert verdict["next"]["dateTime"] is not None


def test_explain_of_a_run_under_way_and_of_a_paused_one(company: Company) -> None:
    company.basics("adele", "alex")
    company.fault("C1", "capacityUnavailable", user="adele", attempts=[1])
    slow(company).settle()
    assert "Attempt 1 of 3 is at C1" in explain(company, "alex")["verdicts"][0]["next"]["text"]
    paused = explain(company, "adele")["verdicts"][0]["next"]
    assert "Attempt 2 of 3 begins after a pause" in paused["text"]
    assert paused["dateTime"] is not None


def test_explain_of_who_waits_for_a_connection_or_is_disabled_or_has_nothing(company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.health("HQ", "failed")
    company.user("dan")
    company.join("dan", "Sales")
    company.enable_user("dan", False)
    company.user("eve")
    company.settle()
    assert "HQ: failed" in explain(company, "adele")["verdicts"][0]["next"]["text"]
    assert "account is enabled" in explain(company, "dan")["verdicts"][0]["next"]["text"]
    assert explain(company, "eve")["verdicts"] == []


# --- what is left ----------------------------------------------------------------------------------


def test_the_ledger_knows_what_is_in_use_and_what_is_left(company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.fault("C5", "intuneEnrollFailed", user="adele", attempts=[1])
    company.settle()
    with company.world.database.engine.connect() as connection:
        everything = view.ledger(connection, company.tenant)
        left = view.ledger(connection, company.tenant, only_left=True)
    assert {e["kind"] for e in left} == {"nic", "device", "computerAccount", "managedDevice"}
    assert all(e["attempt"] == 1 and e["userPrincipalName"] == "adele@contoso.com" for e in left)
    assert all(0 < e["releaseInSeconds"] <= 3 * 3600 for e in left)
    in_use = [e for e in everything if not e["left"]]
    assert {e["attempt"] for e in in_use} == {2}
    assert {"vm", "disk", "capacity", "nic"} <= {e["kind"] for e in in_use}

    company.advance(hours=4)
    with company.world.database.engine.connect() as connection:
        left = view.ledger(connection, company.tenant, only_left=True)
    # L3: computer accounts are disabled, and listed for the administrator.
    assert [(e["kind"], e["state"], e["releaseDateTime"]) for e in left] == [("computerAccount", "disabled", None)]


def test_doctor_finds_nothing_wrong_and_then_what_is_late(company: Company) -> None:
    company.basics("adele")
    company.settle()
    found = {f.check: f for f in examine(company.world)}
    assert {f.mark for f in found.values()} <= {"ok", "warn"}, found
    assert found["Workers"].mark == "warn"

    company.sql("UPDATE cloud_pcs SET status = 'inGracePeriod', grace_ends_at = now() - interval '1 hour'")
    with company.world.database.begin() as connection:
        connection.execute(text("DELETE FROM simulator.objects WHERE kind = 'vm'"))
    found = {f.check: f for f in examine(company.world)}
    assert found["Deadlines"].mark == "warn"
    assert "grace period" in found["Deadlines"].detail
    assert found["Inventory of site-a"].mark == "fail"
    assert found["Inventory of site-a"].mend
