"""What strangers can make the server do, and what a changed password ends."""

import asyncio
import logging
from typing import Any

import pytest
from starlette.requests import Request

from deskwright.authority import endpoints, forms
from deskwright.identity import flows
from deskwright.identity.apps import COMMAND_LINE
from deskwright.operations import credentials
from tests.authority.conftest import GRAPH, Door, error
from tests.authority.test_device import begin, enter, poll


def _new_password(door: Door) -> None:
    credentials.set_password(*door.change, "adele@contoso.com", "another horse battery", must_change=False)


def test_a_new_password_ends_an_approval_that_the_device_has_not_fetched(door: Door) -> None:
    door.person()
    device = begin(door)
    assert "You are signed in" in enter(door, device["user_code"]).text
    _new_password(door)
    error(poll(door, device), 400, "bad_verification_code", 70019)


def test_a_new_password_ends_a_code_that_was_not_redeemed(door: Door) -> None:
    door.person()
    code = door.code()
    _new_password(door)
    error(door.redeem(code), 400, "invalid_grant", 70008)


def test_a_new_password_leaves_others_signing_in(door: Door) -> None:
    door.person()
    waiting, approved = begin(door), begin(door)
    _new_password(door)
    door.person("alex")
    assert "You are signed in" in enter(door, approved["user_code"], username="alex@contoso.com").text
    _new_password(door)
    assert poll(door, approved).status_code == 200
    error(poll(door, waiting), 400, "authorization_pending", 70016)


def test_strangers_do_not_fill_the_database_with_device_codes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "MOST_DEVICES", 3)
    for _ in range(3):
        begin(door, scope="User.Read " * 5000)
    assert max(len(row.scope) for row in door.company.sql("SELECT scope FROM device_codes")) < 100
    form = {"client_id": str(COMMAND_LINE), "scope": f"{GRAPH}/.default"}
    answer = door.browser.post(door.path("devicecode"), data=form)
    error(answer, 503, "temporarily_unavailable", 90033)
    assert int(answer.headers["retry-after"]) > 0
    door.company.sql("UPDATE device_codes SET expires_at = now()")
    assert begin(door)["user_code"]


def test_a_flood_of_passwords_is_turned_away_and_programs_are_not(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "_WAITING", 0)
    monkeypatch.setattr(endpoints, "_THREADS", 0)  # every thread is taken: who comes now would wait
    page = door.browser.get("/devicelogin")
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "too many" in page.text
    error(door.token(grant_type="client_credentials"), 503, "temporarily_unavailable", 90033)


def test_pages_and_programs_do_not_wait_for_each_other(door: Door) -> None:
    served = endpoints._Endpoints(door.company.world)
    assert served.programs is not served.people


def test_a_form_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_FORM_SECONDS", 0.05)

    async def never() -> Any:
        await asyncio.Event().wait()

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, never)
    with pytest.raises(forms.BadForm, match="too long"):
        asyncio.run(forms.read_form(request))


def test_tokens_stand_in_no_log_at_any_level(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """Section 5: secrets never."""
    caplog.set_level(logging.DEBUG)
    door.person()
    told = door.redeem(door.code()).json()
    for name in ("access_token", "refresh_token", "id_token"):
        assert told[name] not in caplog.text
