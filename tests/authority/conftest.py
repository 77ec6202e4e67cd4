"""The authorisation server of a small company, asked as clients and browsers ask it."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from deskwright import authority
from deskwright.identity import tokens
from deskwright.identity.apps import COMMAND_LINE
from deskwright.identity.caller import Caller
from deskwright.operations import applications, credentials
from tests.company import Company

BASE = "http://127.0.0.1:8765"
GRAPH = "https://graph.microsoft.com"
PASSWORD = "correct horse battery"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
REDIRECT = "http://localhost:8400"


@dataclass
class Door:
    """The server and the company behind it."""

    company: Company
    browser: TestClient

    @property
    def change(self) -> tuple[Any, Any, str]:
        return self.company.world.database, self.company.tenant, "test"

    @property
    def tenant(self) -> str:
        return str(self.company.tenant.id)

    def path(self, what: str, tenant: str | None = None) -> str:
        return f"/{tenant or self.tenant}/oauth2/v2.0/{what}"

    # --- making -------------------------------------------------------------------------------------

    def app(self, name: str = "report", *permissions: str, **given: Any) -> str:
        """A registration; its client id."""
        wanted = permissions or ("CloudPC.Read.All",)
        return str(applications.create(*self.change, display_name=name, permissions=wanted, **given)["id"])

    def secret(self, app: str) -> str:
        return str(applications.add_secret(*self.change, app)["secretText"])

    def person(self, name: str = "adele", password: str | None = PASSWORD) -> str:
        """Somebody who can sign in; their password."""
        self.company.user(name)
        item = credentials.set_password(*self.change, f"{name}@contoso.com", password)
        return str(item.get("password", password))

    # --- asking -------------------------------------------------------------------------------------

    def token(self, tenant: str | None = None, auth: Any = None, **form: str) -> Any:
        return self.browser.post(self.path("token", tenant), data=form, auth=auth)

    def as_application(self, app: str, secret: str, scope: str = f"{GRAPH}/.default", **given: Any) -> Any:
        return self.token(grant_type="client_credentials", client_id=app, client_secret=secret, scope=scope, **given)

    def caller(self, answer: Any) -> Caller:
        assert answer.status_code == 200, answer.text
        world = self.company.world
        return tokens.authenticate(world.database, world.secrets, f"Bearer {answer.json()['access_token']}")

    def authorize(self, **given: str) -> dict[str, str]:
        """The query of an authorization request."""
        usual = {
            "client_id": str(COMMAND_LINE),
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": f"{GRAPH}/.default openid profile offline_access",
            "state": "s-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**usual, **given}.items() if value}

    def sign_in(
        self, query: dict[str, str], username: str = "adele@contoso.com", password: str = PASSWORD, **given: Any
    ) -> Any:
        """Look at the page, fill it in, and send it."""
        path = self.path("authorize", given.pop("tenant", None))
        page = self.browser.get(path, params=query)
        assert page.status_code == 200, page.text
        form = {"csrf": hidden(page, "csrf"), "username": username, "password": password, "action": "sign-in", **given}
        return self.browser.post(path, params=query, data=form, follow_redirects=False)

    def code(self, query: dict[str, str] | None = None, **given: Any) -> str:
        return sent_back(self.sign_in(query or self.authorize(), **given))["code"]

    def redeem(self, code: str, **given: str) -> Any:
        form = {"client_id": str(COMMAND_LINE), "redirect_uri": REDIRECT, "code_verifier": VERIFIER, **given}
        chosen = {name: value for name, value in form.items() if value}
        return self.token(grant_type="authorization_code", code=code, **chosen)

    def refresh(self, token: str, **given: str) -> Any:
        return self.token(grant_type="refresh_token", refresh_token=token, client_id=str(COMMAND_LINE), **given)


def hidden(page: Any, name: str) -> str:
    """A hidden field's value."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return found[1]


def sent_back(answer: Any) -> dict[str, str]:
    """What the client's address is told."""
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}" == REDIRECT, answer.headers["location"]
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def error(answer: Any, status: int, error: str, number: int) -> str:
    """The answer is this refusal, in Entra's shape; its description."""
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert (found["error"], found["error_codes"]) == (error, [number]), found
    assert {"timestamp", "trace_id", "correlation_id"} <= set(found)
    UUID(found["trace_id"])
    assert found["error_description"].startswith(f"AADSTS{number}: ")
    assert answer.headers["cache-control"] == "no-store"
    return str(found["error_description"])


@pytest.fixture
def door(company: Company) -> Iterator[Door]:
    app = Starlette(routes=authority.routes(company.world))
    with TestClient(app, base_url=BASE) as browser:
        yield Door(company, browser)
    tokens.forget(company.world.database)
