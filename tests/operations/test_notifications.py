"""R9, R16: people are told once, of what is still so, and nobody waits for a dead mail server."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from deskwright.operations import cloud_pcs, notifications, tenants, webhooks
from deskwright.operations.doctor import Finding, examine, examine_tenant
from deskwright.operations.mail import NotSent
from deskwright.provision.context import World
from deskwright.settings import Settings
from deskwright.store.database import Database
from tests.company import Company, found
from tests.operations.test_webhooks import genuine
from tests.receivers import Inbox, mail_server, webhook


def with_mail(company: Company, inbox: Inbox) -> Company:
    """The same company, in an installation that has this mail server."""
    settings = company.world.settings.model_copy(
        update={
            "smtp_url": SecretStr(f"smtp://127.0.0.1:{inbox.port}"),
            "mail_from": "desktops@contoso.com",
            "portal_address": "https://desktops.contoso.com/portal",
        }
    )
    return replace(company, world=replace(company.world, settings=settings))


def set_(company: Company, **settings: Any) -> None:
    """The notices alone: every change of a status is told of in test_webhook_events.py."""
    given = {"webhookStatusChanges": False, **settings}
    tenants.set_settings(company.world.database, company.tenant, "test", given)


def tell(company: Company) -> int:
    return notifications.tell(company.world)


def again_now(company: Company) -> None:
    """As if the pause before the next try were over."""
    company.sql("UPDATE notifications SET next_at = now() WHERE state = 'pending'")


def rows(company: Company) -> list[tuple[str, str, str]]:
    query = "SELECT kind, channel, state FROM notifications WHERE tenant_id = :tenant ORDER BY about, kind, channel"
    return [tuple(row) for row in company.sql(query)]


def kinds(company: Company) -> list[str]:
    return [kind for kind, _, _ in rows(company)]


def subjects(inbox: Inbox) -> list[str]:
    return [str(message["Subject"]) for message in inbox.mails]


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_a_life_is_told_by_mail(company: Company) -> None:
    """R16, and R9: at the start of grace, 48 h and 24 h before its end, by the tenant's clock."""
    with mail_server() as inbox:
        here = with_mail(company, inbox)
        assert tell(here) == 0
        here.basics("adele")
        here.settle()
        assert [tell(here), tell(here)] == [1, 0]
        here.leave("adele", "Sales")
        here.settle()
        assert [tell(here), tell(here)] == [1, 0]
        for days, expected in ((4.9, 0), (0.2, 1), (0.2, 0), (0.8, 1), (0.2, 0), (1, 0)):
            here.advance(days=days)
            assert [tell(here), tell(here)] == [expected, 0], days
    assert inbox.recipients == ["adele@contoso.com"] * 4
    name = "Desktops - adele"
    assert subjects(inbox) == [
        f"Your Cloud PC is ready: {name}",
        f"Your Cloud PC will be removed: {name}",
        f"Your Cloud PC will be removed in two days: {name}",
        f"Your Cloud PC will be removed within a day: {name}",
    ]
    assert all("https://desktops.contoso.com/portal" in text_of(message) for message in inbox.mails)
    assert {state for _, _, state in rows(here)} == {"sent"}


def test_events_go_to_the_webhook_of_their_tenant(company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    with webhook() as receiver, webhook() as others:
        set_(company, webhookUrl=receiver.url)
        set_(other, webhookUrl=others.url)
        tell(company)
        for here in (company, other):
            here.basics("adele")
            here.settle()
        assert tell(company) == 2, "one worker tells for every tenant"
        company.leave("adele", "Sales")
        company.settle()
        assert tell(company) == 1
    events = [json.loads(body) for _, body in receiver.got]
    assert [e["type"] for e in events] == ["deskwright.cloudPC.ready", "deskwright.cloudPC.gracePeriodBegan"]
    ready, grace = events
    pc = company.pc("adele")
    assert (ready["specversion"], ready["subject"]) == ("1.0", str(pc.id))
    assert ready["source"] == f"/deskwright/tenants/{company.tenant.id}"
    assert ready["data"]["userPrincipalName"] == "adele@contoso.com"
    assert (ready["data"]["status"], ready["data"]["gracePeriodEndDateTime"]) == ("provisioned", None)
    assert grace["data"]["status"] == "inGracePeriod"
    assert grace["data"]["gracePeriodEndDateTime"].endswith("Z")
    assert [json.loads(body)["data"]["userPrincipalName"] for _, body in others.got] == ["adele@fabrikam.com"]
    for receiving, here in ((receiver, company), (others, other)):
        secret = notifications.webhook_secret(here.world.secrets, here.tenant)
        assert all(genuine(secret, *got) for got in receiving.got)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2


def test_nothing_from_before_a_channel_was_switched_on(company: Company) -> None:
    company.basics("adele", "alex")
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        assert [tell(company), tell(company)] == [0, 0]
        set_(company, webhookUrl=None)
        tell(company)
        company.leave("alex", "Sales")
        company.settle()
        tell(company)
        set_(company, webhookUrl=receiver.url)
        assert [tell(company), tell(company)] == [0, 0]
        assert rows(company) == []
        company.advance(days=5.1)
        assert tell(company) == 2, "what becomes due afterwards is told"


def test_a_tenant_that_is_ready_before_anybody_looked_is_told_all_the_same(company: Company) -> None:
    """A worker looks every few seconds, a simulated Cloud PC takes less."""
    company.basics("adele")
    company.settle()
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        company.user("alex")
        company.join("alex", "Sales")
        company.settle()
        assert notifications.tell(company.world, running=timedelta(hours=1)) == 1
    assert [json.loads(body)["data"]["userPrincipalName"] for _, body in receiver.got] == ["alex@contoso.com"]


def test_ready_is_told_of_provisioning_and_of_nothing_else(company: Company) -> None:
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele")
        company.fault("P1", "startMenuPowerIconsError", user="adele")
        company.settle()
        assert company.status("adele") == "provisionedWithWarnings"
        assert tell(company) == 1
        company.clear_faults()
        cloud_pcs.repair(company.world, company.tenant, "test", "adele@contoso.com")
        company.settle()
        assert company.status("adele") == "provisioned"
        assert tell(company) == 0, "repaired"
        company.leave("adele", "Sales")
        company.settle()
        company.join("adele", "Sales")
        company.settle()
        assert company.status("adele") == "provisioned"
        assert tell(company) == 0, "back before anybody looked: nothing has happened"
        cloud_pcs.reprovision(company.world, company.tenant, "test", "adele@contoso.com")
        company.settle()
        assert tell(company) == 1, "a new machine"
    assert kinds(company) == ["ready", "ready"]


def test_what_is_over_when_its_time_comes_is_dropped(company: Company) -> None:
    with mail_server() as inbox:
        here = with_mail(company, inbox)
        notifications.look(here.world.database, here.world.settings)
        here.basics("adele", "alex", "kim", "lee")
        here.settle()
        notifications.look(here.world.database, here.world.settings)
        assert kinds(here) == ["ready"] * 4
        here.leave("adele", "Sales")
        here.enable_user("alex", False)
        here.sql("UPDATE cloud_pcs SET status = 'gone' WHERE user_id = :u", u=here.ids["kim"])
        here.settle()
        tell(here)
        assert inbox.recipients == ["lee@contoso.com", "adele@contoso.com"]
        assert subjects(inbox)[1].startswith("Your Cloud PC will be removed")
        assert [row for row in rows(here) if row[2] != "sent"] == []


def test_kept_and_short_graces_are_not_reminded_too_often(company: Company) -> None:
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url, gracePeriodInHours=30)
        tell(company)
        company.basics("adele")
        company.settle()
        tell(company)
        company.leave("adele", "Sales")
        company.settle()
        tell(company)
        assert kinds(company) == ["ready", "grace"], "30 hours: the start is the reminder of 48"
        company.advance(hours=7)
        tell(company)
        assert kinds(company)[2:] == ["grace24h"]
        cloud_pcs.keep(company.world, company.tenant, "test", "adele@contoso.com", hours=72)
        tell(company)
        assert len(kinds(company)) == 3
        company.advance(hours=25)
        tell(company)
        assert kinds(company)[3:] == ["grace48h"], "it was put off: they are told of the new end"
        company.advance(hours=60)
        tell(company)
        assert len(kinds(company)) == 4, "gone: the last reminder would be too late"
        assert company.status("adele") is None


def test_both_reminders_due_at_once_are_one(company: Company) -> None:
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele")
        company.settle()
        tell(company)
        company.leave("adele", "Sales")
        company.settle()
        tell(company)
        company.advance(days=6.5)
        tell(company)
    assert kinds(company) == ["ready", "grace", "grace24h"]


def test_a_dead_mail_server_is_tried_ever_less_often_and_given_up(company: Company) -> None:
    with mail_server() as inbox:
        here = with_mail(company, inbox)
    tell(here)
    here.basics("adele", "alex")
    here.settle()
    pauses = []
    for attempt in range(1, 8):
        assert tell(here) == 0
        waiting = "SELECT attempts, state, extract(epoch FROM next_at - now()) / 60 AS minutes FROM notifications"
        first, second = here.sql(waiting)
        assert (first.attempts, first.state) == (second.attempts, second.state) == (attempt, "pending")
        pauses.append(round(float(first.minutes)))
        assert tell(here) == 0
        assert here.sql("SELECT max(attempts) FROM notifications") == [(attempt,)], "not before its time"
        again_now(here)
    assert pauses == [1, 5, 30, 30, 30, 30, 30]
    tell(here)
    assert {state for _, _, state in rows(here)} == {"failed"}
    again_now(here)
    assert tell(here) == 0
    error = here.sql("SELECT DISTINCT last_error FROM notifications")
    assert f"127.0.0.1:{inbox.port}" in error[0][0]


def test_a_server_that_is_back_gets_what_waited(company: Company) -> None:
    with mail_server() as inbox:
        here = with_mail(company, inbox)
    tell(here)
    here.basics("adele", "alex")
    here.settle()
    tell(here)
    with mail_server(port=inbox.port) as back:
        assert tell(here) == 0, "the pause is not over"
        again_now(here)
        assert tell(here) == 2
        assert back.connections == 1
    assert sorted(back.recipients) == ["adele@contoso.com", "alex@contoso.com"]


def test_one_tenants_dead_webhook_holds_up_no_other(company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    with webhook() as dead, webhook() as receiver:
        dead.status = 500
        set_(company, webhookUrl=dead.url)
        set_(other, webhookUrl=receiver.url)
        tell(company)
        for here in (company, other):
            here.basics("adele", "alex", "kim")
            here.settle()
        assert tell(company) == 3
        assert len(receiver.got) == 3
        assert len(dead.got) == 1, "one try tells that it is dead"
    assert [state for _, _, state in rows(company)] == ["pending"] * 3


def test_an_address_that_does_not_exist_is_not_tried_again(company: Company) -> None:
    with mail_server(refuse={"adele@contoso.com": "550 no such user"}) as inbox:
        here = with_mail(company, inbox)
        tell(here)
        here.basics("adele", "alex")
        here.settle()
        here.sql("UPDATE users SET mail = 'alex@home.example' WHERE id = :u", u=here.ids["alex"])
        assert tell(here) == 1
        assert inbox.recipients == ["alex@home.example"], "the mail address goes before the user name"
    assert sorted(state for _, _, state in rows(here)) == ["failed", "sent"]


def test_a_death_between_claim_and_send_sends_later_and_after_success_never(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6's spirit: the claim runs out, somebody else sends; what was marked is never sent again."""

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele")
        company.settle()
        with monkeypatch.context() as dying:
            dying.setattr(webhooks, "post", die)
            with pytest.raises(Killed):
                tell(company)
        assert tell(company) == 0, "the claim still holds"
        ((minutes,),) = company.sql("SELECT extract(epoch FROM next_at - now()) / 60 FROM notifications")
        assert 4 < minutes <= 5
        again_now(company)
        assert tell(company) == 1
        again_now(company)
        company.sql("UPDATE notifications SET next_at = now()")
        assert tell(company) == 0
        assert len(receiver.got) == 1
    assert rows(company) == [("ready", "webhook", "sent")]


def test_a_claim_that_ran_out_writes_nothing(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen worker that wakes up does not undo what its successor marked."""
    real = webhooks.post

    def slow(url: str, event: Any, keys: Any) -> None:
        again_now(company)
        monkeypatch.setattr(webhooks, "post", real)
        assert tell(company) == 1, "somebody else takes it meanwhile"
        raise NotSent("too late")

    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele")
        company.settle()
        monkeypatch.setattr(webhooks, "post", slow)
        tell(company)
        assert len(receiver.got) == 1
    assert rows(company) == [("ready", "webhook", "sent")]


def test_stopping_gives_back_what_was_not_tried(company: Company) -> None:
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele", "alex")
        company.settle()
        asked: list[bool] = []

        def stopping() -> bool:
            asked.append(True)
            return len(asked) > 2  # the pass, the first row; then stop

        assert notifications.tell(company.world, stopping) == 1
        waiting = company.sql("SELECT attempts FROM notifications WHERE state = 'pending' AND next_at <= now()")
        assert [row.attempts for row in waiting] == [0]
        assert tell(company) == 1
        assert len(receiver.got) == 2


def test_a_change_that_commits_late_is_seen(company: Company) -> None:
    """A row bears the time at which its transaction began, which may be long before it can be seen."""
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele")
        company.settle()
        tell(company)
        looked = "UPDATE tenants SET notified_until = tenant_now(id) - interval '10 minutes' WHERE id = :tenant"
        company.sql(looked)
        with company.world.database.begin() as open_:
            open_.execute(text("SELECT 1"))
            ((began,),) = company.sql("SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()")
            tell(company)
            ((until,),) = company.sql("SELECT notified_until FROM tenants")
            assert until <= began
        tell(company)
        ((after,),) = company.sql("SELECT notified_until FROM tenants")
        assert after > until


def test_switched_off_it_costs_nothing_and_drops_what_waits(company: Company) -> None:
    company.basics("adele")
    company.settle()
    assert tell(company) == 0
    assert company.sql("SELECT notified_until FROM tenants") == [(None,)]
    with mail_server() as inbox:
        here = with_mail(company, inbox)
        tell(here)
        here.leave("adele", "Sales")
        here.settle()
        notifications.look(here.world.database, here.world.settings)
        assert kinds(here) == ["grace"]
        set_(here, notifyByMail=False)
        assert tell(here) == 0
        assert rows(here) == []
        assert inbox.mails == []
        assert here.sql("SELECT notified_until FROM tenants") == [(None,)]


def test_old_ones_are_forgotten(company: Company) -> None:
    with webhook() as receiver:
        set_(company, webhookUrl=receiver.url)
        tell(company)
        company.basics("adele")
        company.settle()
        tell(company)
        company.sql("UPDATE notifications SET about = about - interval '91 days'")
        company.sql("UPDATE cloud_pcs SET provisioned_at = provisioned_at - interval '91 days'")
        company.user("alex")
        company.join("alex", "Sales")
        company.settle()
        tell(company)
        assert len(rows(company)) == 1


def test_it_looks_by_index(company: Company) -> None:
    """However many Cloud PCs there are, a look reads those that changed."""
    company.basics()
    company.sql(
        """
        WITH people AS (INSERT INTO users (tenant_id, user_principal_name, display_name)
          SELECT :tenant, n || '@contoso.com', n FROM generate_series(1, 3000) n RETURNING id)
        INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, display_name, status, entitled_number, status_since,
                               grace_ends_at)
        SELECT :tenant, p.id, s.id, 'PC', CASE WHEN n % 3 = 0 THEN 'inGracePeriod' ELSE 'provisioned' END, n,
               now() - interval '30 days', CASE WHEN n % 3 = 0 THEN now() + n * interval '3 min' END
          FROM (SELECT id, row_number() OVER () AS n FROM people) p, service_plans s
        """
    )
    asked = str(notifications._LOOK.text)
    for name, value in {"mail": "true", "margin": "'15 s'", "running": "'0 s'", "longest_behind": "'1 h'"}.items():
        asked = asked.replace(f":{name}", value)
    with company.world.database.single.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {asked}"))
    assert plan.count("ix_cloud_pcs_modified") == 1, plan
    assert plan.count("ix_cloud_pcs_grace") == 2, plan
    assert len(re.findall(r"(?:Scan.*) on (?:ix_)?cloud_pcs", plan)) == plan.count("ix_cloud_pcs_"), plan


def about(found: list[Finding], check: str) -> Finding:
    (one,) = [f for f in found if f.check == check]
    return one


def test_the_doctor_says_when_nobody_is_told(company: Company) -> None:
    assert about(list(examine(company.world)), "Mail server").mark == "ok"
    with mail_server() as inbox:
        here = with_mail(company, inbox)
    assert str(inbox.port) in about(list(examine(here.world)), "Mail server").detail
    tell(here)
    here.basics("adele")
    here.settle()
    assert about(list(examine(here.world)), "Notifications").mark == "ok"
    tell(here)
    for found_ in (examine(here.world), examine_tenant(here.world, here.tenant)):
        finding = about(list(found_), "Notifications")
        assert finding.mark == "warn"
        assert "contoso.com: 1 by mail" in finding.detail
        assert str(inbox.port) in finding.detail
    with mail_server(port=inbox.port):
        again_now(here)
        tell(here)
    assert about(list(examine(here.world)), "Notifications").mark == "ok"


def test_the_doctor_says_what_is_wrong_with_the_mail_servers_address(database: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, smtp_url=SecretStr("smtp://u:secret@mail.contoso.com"))
    company = found(database, settings)
    world: World = company.world
    finding = about(list(examine(world)), "Mail server")
    assert finding.mark == "fail"
    assert "DESKWRIGHT_SMTP_URL" in finding.detail
    assert "secret" not in finding.detail
    company.basics("adele")
    company.settle()
    assert notifications.tell(world, running=timedelta(hours=1)) == 0
