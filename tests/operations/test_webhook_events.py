"""R6: an event for every change of a status, in order, once by its id, and never lost: dead letters."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from deskwright.cli import app as cli
from deskwright.domain.notices import TRIES
from deskwright.domain.rules import NotFound
from deskwright.domain.status import TRANSITIONS, Status
from deskwright.operations import dead_letters, notifications, tenants
from deskwright.operations.doctor import examine_tenant
from deskwright.store.status import move
from tests.company import Company, found
from tests.operations.test_webhooks import genuine
from tests.receivers import Receiver, webhook

CHANGED = "deskwright.cloudPC.statusChanged"


def switch_on(company: Company, url: str | None, **more: Any) -> None:
    tenants.set_settings(company.world.database, company.tenant, "test", {"webhookUrl": url, **more})


def send(company: Company) -> int:
    return notifications.send(company.world)


def again_now(company: Company) -> None:
    """As if all pauses were over."""
    company.sql("UPDATE notifications SET next_at = now() WHERE state = 'pending'")
    company.sql("UPDATE tenants SET webhook_retry_at = now() WHERE webhook_retry_at IS NOT NULL")


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in receiver.got]


def changes(receiver: Receiver) -> list[tuple[str | None, str]]:
    found = [e for e in events(receiver) if e["type"] == CHANGED]
    return [(e["data"]["previousStatus"], e["data"]["status"]) for e in found]


def a_cloud_pc(company: Company, status: Status) -> UUID:
    person = company.user(f"u{uuid4().hex[:8]}")
    ((made,),) = company.sql(
        "INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, display_name, status, entitled_number) "
        "VALUES (:tenant, :user, :plan, 'A Cloud PC', :status, 1) RETURNING id",
        user=person,
        plan=company.ids["Cloud PC Enterprise 2vCPU/8GB/128GB"],
        status=str(status),
    )
    return UUID(str(made))


def letters(company: Company) -> list[dict[str, Any]]:
    return dead_letters.list_(company.world.database, company.tenant)


def give_up(company: Company) -> None:
    """Try until nothing is tried any more."""
    for _ in range(3 * TRIES):
        send(company)
        again_now(company)


def test_r6_a_life_is_told_change_by_change(company: Company) -> None:
    with webhook() as receiver:
        switch_on(company, receiver.url)
        company.basics("adele")
        company.settle()
        company.leave("adele", "Sales")
        company.settle()
        company.advance(days=8)
        company.advance(hours=4)
        send(company)
        secret = notifications.webhook_secret(company.world.secrets, company.tenant)
        assert all(genuine(secret, *got) for got in receiver.got)
    assert changes(receiver) == [
        (None, "pendingProvision"),
        ("pendingProvision", "provisioning"),
        ("provisioning", "provisioned"),
        ("provisioned", "inGracePeriod"),
        ("inGracePeriod", "deprovisioning"),
        ("deprovisioning", "gone"),
    ]
    told = events(receiver)
    sequences = [e["sequence"] for e in told]
    assert sequences == sorted(sequences)
    assert len({e["id"] for e in told}) == len(told)
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {e["id"] for e in told}
    grace = told[3]["data"]
    assert grace["gracePeriodEndDateTime"].endswith("Z"), "as it was then, not as it is now"
    assert grace["userPrincipalName"] == "adele@contoso.com"
    assert grace["managedDeviceName"].startswith("CPC-")
    assert [e["time"] for e in told] == sorted(e["time"] for e in told)


@pytest.mark.parametrize(("now", "then"), [(a, b) for a, targets in TRANSITIONS.items() for b in sorted(targets)])
def test_r6_every_legal_transition_has_its_event(company: Company, now: Status, then: Status) -> None:
    company.basics()
    switch_on(company, "http://127.0.0.1:9/hook")
    made = a_cloud_pc(company, now)
    company.sql("DELETE FROM notifications")
    with company.world.database.begin() as connection:
        assert move(connection, [made], then) == {made}
    ((kind, data),) = company.sql("SELECT kind, data FROM notifications")
    assert (kind, data["previousStatus"], data["status"]) == ("statusChanged", now, then)


def test_r6_no_event_of_a_change_that_did_not_happen(company: Company) -> None:
    company.basics()
    switch_on(company, "http://127.0.0.1:9/hook")
    made = a_cloud_pc(company, Status.PENDING)
    company.sql("DELETE FROM notifications")
    with company.world.database.engine.connect() as connection:
        move(connection, [made], Status.PROVISIONING)
        assert connection.execute(text("SELECT count(*) FROM notifications")).scalar_one() == 1
        connection.rollback()
    assert company.sql("SELECT 1 FROM notifications") == []
    company.sql("UPDATE cloud_pcs SET waiting_for = 'seat', status = status")
    assert company.sql("SELECT 1 FROM notifications") == [], "the status is what it was"


def test_r6_without_a_webhook_nothing_is_written(company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    with webhook() as receiver:
        switch_on(other, receiver.url)
        company.basics("adele")
        company.settle()
        switch_on(company, receiver.url, webhookStatusChanges=False)
        company.leave("adele", "Sales")
        company.settle()
    assert company.sql("SELECT 1 FROM notifications") == []


def test_r6_the_order_of_a_cloud_pc_is_kept_while_one_event_waits(company: Company) -> None:
    with webhook() as receiver:
        switch_on(company, receiver.url)
        company.basics("adele", "alex")
        company.settle()
        receiver.status = 400  # the receiver is there, and does not take this one
        send(company)
        assert [e["data"]["status"] for e in events(receiver)] == ["pendingProvision"] * 2, "the first of each"
        receiver.status = 204
        assert send(company) == 0, "the later ones wait with it"
        again_now(company)
        assert send(company) == 6
        for person in ("adele", "alex"):
            got = [e for e in events(receiver)[2:] if e["data"]["userPrincipalName"].startswith(person)]
            assert [e["data"]["status"] for e in got] == ["pendingProvision", "provisioning", "provisioned"]
        ids = [e["id"] for e in events(receiver)]
        assert len(ids) == 8
        assert len(set(ids)) == 6, "tried again under the same id"


def test_r6_what_is_given_up_is_a_dead_letter_and_can_be_sent_again(company: Company) -> None:
    with webhook() as receiver:
        switch_on(company, receiver.url)
        company.basics("adele")
        company.settle()
        receiver.status = 400
        give_up(company)
        assert len(receiver.got) == 3 * TRIES
        dead = letters(company)
        assert [d["status"] for d in dead] == ["pendingProvision", "provisioning", "provisioned"]
        assert {(d["tries"], d["error"]) for d in dead} == {(TRIES, "webhook answered 400")}
        shown = dead_letters.show(company.world.database, company.tenant, dead[0]["id"])
        assert shown["event"] == events(receiver)[0]

        (finding,) = [f for f in examine_tenant(company.world, company.tenant) if f.check == "Notifications"]
        assert (finding.mark, "3 of them were given up" in finding.detail) == ("warn", True)
        assert "deskwright webhook list" in finding.mend

        receiver.status = 204
        receiver.got.clear()
        assert dead_letters.retry(company.world.database, company.tenant, "test", [dead[1]["id"]]) == 1
        assert send(company) == 1
        assert dead_letters.discard(company.world.database, company.tenant, "test", [dead[0]["id"]]) == 1
        assert dead_letters.retry(company.world.database, company.tenant, "test") == 1
        assert send(company) == 1
        assert [e["id"] for e in events(receiver)] == [str(dead[1]["id"]), str(dead[2]["id"])]
    assert letters(company) == []
    (finding,) = [f for f in examine_tenant(company.world, company.tenant) if f.check == "Notifications"]
    assert finding.mark == "ok"
    audited = company.sql("SELECT activity, object_type FROM audit_events WHERE object_type = 'webhookEvent'")
    assert sorted(a.activity for a in audited) == ["Discard event", "Send event again", "Send event again"]


def retry_minutes(company: Company) -> int | None:
    ((at,),) = company.sql("SELECT extract(epoch FROM webhook_retry_at - now()) / 60 FROM tenants WHERE id = :tenant")
    return None if at is None else round(float(at))


def test_r6_a_receiver_that_is_away_loses_nothing(company: Company) -> None:
    """It is left alone ever longer, one event is tried each time, and the others use up none of their tries."""
    with webhook() as receiver:
        switch_on(company, receiver.url)
    company.basics("adele", "alex")
    company.settle()
    pauses = []
    for _ in range(4):
        assert send(company) == 0
        pauses.append(retry_minutes(company))
        again_now(company)
    assert pauses == [1, 5, 30, 30]
    ((tried, waiting),) = company.sql("SELECT sum(attempts), count(*) FROM notifications WHERE state = 'pending'")
    assert (tried, waiting) == (4, 6)
    assert send(company) == 0
    assert send(company) == 0, "the pause holds"
    (finding,) = [f for f in examine_tenant(company.world, company.tenant) if f.check == "Notifications"]
    assert "6 wait" in finding.detail
    with webhook() as back:
        switch_on(company, back.url)
        assert retry_minutes(company) is None, "another address is tried at once"
        again_now(company)
        send(company)
        again_now(company)
        send(company)
    assert sorted(status for _, status in changes(back)) == sorted(
        ["pendingProvision", "provisioning", "provisioned"] * 2
    )
    ((failures,),) = company.sql("SELECT webhook_failures FROM tenants WHERE id = :tenant")
    assert failures == 0


def test_r6_a_receiver_that_stays_away_leaves_dead_letters_that_are_sent_when_it_is_back(company: Company) -> None:
    with webhook() as receiver:
        switch_on(company, receiver.url)
        receiver.status = 500
        company.basics("adele")
        company.settle()
        give_up(company)
        assert len(letters(company)) == 3
        receiver.status = 204
        receiver.got.clear()
        dead_letters.retry(company.world.database, company.tenant, "test")
        assert retry_minutes(company) is None
        send(company)
    assert [status for _, status in changes(receiver)] == ["pendingProvision", "provisioning", "provisioned"]


def test_r6_one_tenants_dead_webhook_costs_the_others_nothing(company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    with webhook() as receiver:
        switch_on(company, "http://127.0.0.1:9/hook")
        switch_on(other, receiver.url)
        for here in (company, other):
            here.basics("adele", "alex")
            here.settle()
        assert send(company) == 6
    assert {e["data"]["tenant"] for e in events(receiver)} == {"fabrikam.com"}


def test_r6_the_later_events_go_on_after_a_dead_letter(company: Company) -> None:
    with webhook() as receiver:
        switch_on(company, receiver.url)
        company.basics("adele")
        company.settle()
        receiver.status = 410  # this one not again
        notifications.send(company.world, iter([False, False, True, True]).__next__)
        receiver.status = 204
        assert len(letters(company)) == 1
        assert send(company) == 2


def test_letters_of_another_tenant_are_nobody_elses(company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    with webhook() as receiver:
        receiver.status = 410
        switch_on(company, receiver.url)
        company.basics("adele")
        company.settle()
        send(company)
    mine = letters(company)
    assert mine
    assert letters(other) == []
    assert dead_letters.count(company.world.database, other.tenant) == 0
    for act in (dead_letters.retry, dead_letters.discard):
        assert act(company.world.database, other.tenant, "test") == 0
        with pytest.raises(NotFound):
            act(company.world.database, other.tenant, "test", [mine[0]["id"]])
    with pytest.raises(NotFound):
        dead_letters.show(company.world.database, other.tenant, mine[0]["id"])
    assert letters(company) == mine


def test_the_commands(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(company.world.settings.data_dir))
    with webhook() as receiver:
        receiver.status = 410
        switch_on(company, receiver.url)
        company.basics("adele", "alex")
        company.settle()
        send(company)
    run = CliRunner().invoke
    listed = json.loads(run(cli.app, ["webhook", "list", "--json"]).stdout)
    assert len(listed) == 6
    assert len(json.loads(run(cli.app, ["webhook", "list", "--json", "--limit", "2"]).stdout)) == 2
    assert "answered 410" in run(cli.app, ["webhook", "list"]).stdout
    shown = json.loads(run(cli.app, ["webhook", "show", listed[0]["id"], "--json"]).stdout)
    assert shown["event"]["type"] == CHANGED
    refused = run(cli.app, ["webhook", "retry"])
    assert (refused.exit_code, "name the events" in refused.stderr) == (1, True)
    assert run(cli.app, ["webhook", "retry", listed[0]["id"], "--all"]).exit_code == 1
    assert run(cli.app, ["webhook", "retry", listed[0]["id"]]).stdout == "1 will be sent again.\n"
    assert run(cli.app, ["webhook", "discard", listed[0]["id"]]).exit_code == 1, "it is no dead letter now"
    assert json.loads(run(cli.app, ["webhook", "discard", "--all", "--json"]).stdout) == {"discarded": 5}
    assert "got through" in run(cli.app, ["webhook", "list"]).stdout


def test_events_that_were_taken_are_forgotten_after_a_week_and_dead_letters_are_not(company: Company) -> None:
    with webhook() as receiver:
        switch_on(company, receiver.url)
        company.basics("adele")
        company.settle()
        receiver.status = 410
        notifications.send(company.world, iter([False, False, True, True]).__next__)
        receiver.status = 204
        send(company)
        company.sql("UPDATE notifications SET about = about - interval '8 days'")
        company.leave("adele", "Sales")
        company.settle()
        send(company)
        left = company.sql("SELECT state, data ->> 'status' FROM notifications ORDER BY number")
    assert [tuple(row) for row in left] == [("failed", "pendingProvision"), ("sent", "inGracePeriod")]


def test_sending_reads_by_index_with_many_events_waiting(company: Company) -> None:
    """However many events one dead webhook keeps waiting, a claim reads what it takes."""
    company.basics()
    switch_on(company, "http://127.0.0.1:9/hook")
    made = a_cloud_pc(company, Status.PENDING)
    company.sql(
        "INSERT INTO notifications (tenant_id, cloud_pc_id, kind, channel, about, next_at, data) "
        "SELECT :tenant, :pc, 'statusChanged', 'webhook', now(), now() + interval '1 hour', '{}' "
        "FROM generate_series(1, 5000)",
        pc=made,
    )
    company.sql("ANALYZE notifications")
    plan = company.sql(
        "EXPLAIN SELECT 1 FROM notifications e WHERE e.cloud_pc_id = :pc AND e.number < 10 "
        "AND e.state = 'pending' AND e.channel = 'webhook'",
        pc=made,
    )
    assert "ix_notifications_order" in str(plan)
