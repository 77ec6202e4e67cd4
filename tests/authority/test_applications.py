"""An application signs in by itself: client credentials."""

from typing import Any
from uuid import uuid4

import pytest

from deskwright.identity.apps import COMMAND_LINE
from deskwright.operations import applications, tenants
from tests.authority.conftest import GRAPH, Door, error


def test_it_gets_what_it_has_been_granted(door: Door) -> None:
    app = door.app("report", "CloudPC.ReadWrite.All", "User.Read.All")
    answer = door.as_application(app, door.secret("report"))
    found = answer.json()
    assert (found["token_type"], found["expires_in"]) == ("Bearer", 3599)
    assert "refresh_token" not in found
    assert answer.headers["cache-control"] == "no-store"
    caller = door.caller(answer)
    assert (caller.actor, str(caller.app_id), caller.delegated) == ("report", app, False)
    assert {"CloudPC.ReadWrite.All", "CloudPC.Read.All", "User.Read.All"} == caller.permissions


def test_the_secret_may_come_as_basic_authentication(door: Door) -> None:
    app = door.app()
    scope = f"{GRAPH}/.default"
    good = door.token(auth=(app, door.secret("report")), grant_type="client_credentials", scope=scope)
    assert door.caller(good).actor == "report"
    wrong = door.token(auth=(app, "wrong"), grant_type="client_credentials", scope=scope)
    error(wrong, 401, "invalid_client", 7000215)
    assert wrong.headers["www-authenticate"].startswith("Basic")
    broken = door.browser.post(
        door.path("token"),
        data={"grant_type": "client_credentials", "scope": scope},
        headers={"Authorization": "Basic /w=="},
    )
    error(broken, 401, "invalid_client", 7000218)


@pytest.mark.parametrize("name", ["contoso.com", "CONTOSO.com"])
def test_the_tenant_may_be_named(door: Door, name: str) -> None:
    app = door.app()
    assert door.caller(door.as_application(app, door.secret("report"), tenant=name)).tenant_id == door.company.tenant.id


@pytest.mark.parametrize(
    "scope",
    [
        f"{GRAPH}/.default",
        f"{GRAPH}//.default",
        "HTTPS://GRAPH.MICROSOFT.COM/.DEFAULT",
        "00000003-0000-0000-c000-000000000000/.default",
        ".default",
        "http://127.0.0.1:8765/.default",
        "https://localhost:8766/.default",
    ],
)
def test_the_resource_may_be_written_as_clients_write_it(door: Door, scope: str) -> None:
    app = door.app()
    assert door.caller(door.as_application(app, door.secret("report"), scope)).actor == "report"


@pytest.mark.parametrize(
    ("scope", "what", "number", "names"),
    [
        ("https://evil.example/.default", "invalid_resource", 500011, "evil.example"),
        ("https://graph.microsoft.com/CloudPC.Everything", "invalid_scope", 70011, "CloudPC.Everything"),
        ("https://graph.microsoft.com/CloudPC.Read.All", "invalid_scope", 1002012, ".default"),
        ("https://graph.microsoft.com/.default CloudPC.Read.All", "invalid_scope", 70011, ".default"),
        ("https://graph.microsoft.com/.default http://localhost/.default", "invalid_scope", 28000, "resource"),
        ("", "invalid_request", 900144, "scope"),
        ('"\\é', "invalid_scope", 70011, "not known"),
    ],
)
def test_a_scope_that_cannot_be_is_refused_by_name(door: Door, scope: str, what: str, number: int, names: str) -> None:
    app = door.app()
    assert names in error(door.as_application(app, door.secret("report"), scope), 400, what, number)


def test_a_wrong_an_expired_and_a_removed_secret_are_refused(door: Door) -> None:
    app = door.app()
    secret = door.secret("report")
    error(door.as_application(app, "x" * 40), 401, "invalid_client", 7000215)
    error(door.as_application(app, secret[:-1]), 401, "invalid_client", 7000215)
    error(door.as_application(app, secret[:-1] + "!"), 401, "invalid_client", 7000215)
    door.company.sql("UPDATE app_secrets SET expires_at = now() - interval '1 second'")
    error(door.as_application(app, secret), 401, "invalid_client", 7000222)
    error(door.as_application(app, "x" * 40), 401, "invalid_client", 7000215)
    again = door.secret("report")
    assert door.caller(door.as_application(app, again)).actor == "report"
    for kept in applications.show(*door.change[:2], "report")["passwordCredentials"]:
        applications.remove_secret(*door.change, "report", kept["keyId"])
    error(door.as_application(app, again), 401, "invalid_client", 7000215)


def test_several_secrets_count_side_by_side(door: Door) -> None:
    app = door.app()
    for secret in (door.secret("report"), door.secret("report")):
        assert door.caller(door.as_application(app, secret)).actor == "report"


def test_without_a_secret_or_as_nobody_it_is_refused(door: Door) -> None:
    app = door.app()
    scope = f"{GRAPH}/.default"
    error(door.token(grant_type="client_credentials", client_id=app, scope=scope), 401, "invalid_client", 7000218)
    for nobody in (str(uuid4()), "report", "x"):
        said = error(door.as_application(nobody, "x" * 40), 400, "unauthorized_client", 700016)
        assert nobody in said


def test_a_public_client_has_no_secret_and_is_nobody_by_itself(door: Door) -> None:
    app = door.app("tool", public_client=True)
    error(door.as_application(app, "x" * 40), 401, "invalid_client", 700025)
    scope = f"{GRAPH}/.default"
    for public in (app, str(COMMAND_LINE)):
        without = door.token(grant_type="client_credentials", client_id=public, scope=scope)
        error(without, 401, "invalid_client", 7000218)


def test_a_disabled_application_is_refused(door: Door) -> None:
    app = door.app()
    secret = door.secret("report")
    applications.set_(*door.change, "report", account_enabled=False)
    error(door.as_application(app, secret), 400, "unauthorized_client", 7000112)


def test_an_application_of_another_tenant_is_not_there(door: Door) -> None:
    """Section 5: no token ever crosses."""
    app = door.app()
    secret = door.secret("report")
    tenants.create(door.company.world.database, "test", "fabrikam.com")
    error(door.as_application(app, secret, tenant="fabrikam.com"), 400, "unauthorized_client", 700016)
    error(door.as_application(app, secret, tenant="nobody.com"), 400, "invalid_request", 90002)
    error(door.as_application(app, secret, tenant="common"), 400, "invalid_request", 900144)


def test_what_is_no_token_request_is_refused(door: Door) -> None:
    error(door.token(grant_type="password", username="a", password="b"), 400, "unsupported_grant_type", 70003)
    error(door.token(client_id="x"), 400, "invalid_request", 900144)
    path = door.path("token")
    error(door.browser.post(path, json={"grant_type": "client_credentials"}), 400, "invalid_request", 900144)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"a=" + b"x" * 70_000, b"a=%00", b"a=\xff", b"&".join(b"a%d=1" % n for n in range(200))):
        error(door.browser.post(path, content=content, headers=form), 400, "invalid_request", 900144)
    twice = b"grant_type=client_credentials&grant_type=client_credentials"
    error(door.browser.post(path, content=twice, headers=form), 400, "invalid_request", 9000411)


def test_the_clients_correlation_id_comes_back(door: Door) -> None:
    wanted = str(uuid4())
    answer = door.browser.post(door.path("token"), data={"grant_type": "x"}, headers={"client-request-id": wanted})
    assert answer.json()["correlation_id"] == wanted


def test_secrets_stand_nowhere(door: Door) -> None:
    """Stored only hashed, and neither in the audit log nor in what is listed."""
    door.app()
    secret = door.secret("report")
    held: list[Any] = []
    for table in ("app_registrations", "app_secrets", "audit_events"):
        held += door.company.sql(f"SELECT * FROM {table}")
    held.append(applications.show(*door.change[:2], "report"))
    assert secret not in repr(held)
    (kept,) = door.company.sql("SELECT hash, hint FROM app_secrets")
    assert kept.hash.startswith("$argon2id$")
    assert kept.hint == secret[:3]
    assert kept.hash not in repr(applications.show(*door.change[:2], "report"))
    assert kept.hash not in repr(door.company.sql("SELECT * FROM audit_events"))
