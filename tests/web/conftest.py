"""The pages as browsers meet them: signed in, over the whole application, on a socket where a browser is driven."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from deskwright import serve
from deskwright.api.watch import Watch
from deskwright.identity import sessions, sign_in
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import roles
from deskwright.provision.context import World
from deskwright.web import app
from deskwright.web.csrf import csrf_of
from tests.company import Company
from tests.web.browser import chromium, screen, shots

__all__ = ["chromium", "screen", "shots"]

COOKIE = "deskwright-session"
PASSWORD = "correct horse battery"


def person(company: Company, name: str = "maria", role: str | None = ADMINISTRATOR) -> str:
    """Someone of the tenant with that role; returns the UPN."""
    if name not in company.ids:
        company.user(name)
    upn = f"{name}@{company.tenant.name}"
    if role is not None:
        roles.assign(company.world.database, company.tenant, "test", role, upn)
    return upn


def session_of(company: Company, name: str = "maria") -> str:
    """A signed-in browser's cookie, without the time that hashing a password takes."""
    return sessions.begin(company.world.database, company.tenant.id, company.ids[name])


@dataclass
class Page:
    """What a browser got."""

    status: int
    text: str
    url: str
    headers: Mapping[str, str]

    @property
    def words(self) -> str:
        """What a person reads, blanks made one."""
        body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", self.text, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    def field(self, name: str) -> str:
        """The value of an input of that name."""
        for tag in re.findall(r"<input\b[^>]*>", self.text):
            if f'name="{name}"' in tag:
                found = re.search(r'value="([^"]*)"', tag)
                return unescape(found.group(1)) if found else ""
        raise AssertionError(f"no input {name}")

    def links(self) -> list[str]:
        return [unescape(u) for u in re.findall(r'href="([^"]*)"', self.text)]


@dataclass
class Browser:
    """Clicks without JavaScript: GET follows redirects, POST sends the token that its pages carry."""

    client: TestClient
    token: str = ""
    tenant: str = ""
    sent: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Page:
        return self._page(self.client.get(self.at(path), headers=headers))

    def fragment(self, path: str) -> Page:
        """As htmx asks."""
        return self.get(path, **{"HX-Request": "true"})

    def post(self, path: str, fields: Mapping[str, Any] | Sequence[tuple[str, str]] = (), **kw: Any) -> Page:
        pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
        listed = [(n, v) for n, vs in pairs for v in (vs if isinstance(vs, list) else [vs])]
        body: dict[str, list[str]] = {}
        for name, value in [("csrf", csrf_of(self.token)), *listed]:
            body.setdefault(name, []).append(str(value))
        return self._page(self.client.post(self.at(path), data=body, **kw))

    def at(self, path: str) -> str:
        """Paths that do not begin with a slash are of the tenant's admin center."""
        return path if path.startswith("/") else f"/admin/{self.tenant}" + (f"/{path}" if path else "")

    def _page(self, got: Any) -> Page:
        assert got.status_code < 500, got.text[-3000:]
        return Page(got.status_code, got.text, str(got.url), got.headers)


def application(world: World) -> Starlette:
    return Starlette(routes=app.routes(world, Watch(world)))


@pytest.fixture
def pages(company: Company) -> Iterator[Browser]:
    """An administrator's browser; `as_person` makes others."""
    person(company)
    token = session_of(company)
    with TestClient(application(company.world), base_url="http://127.0.0.1") as client:
        _keep(client, token)
        yield Browser(client, token, company.tenant.name)


def as_person(pages: Browser, company: Company, name: str, role: str | None = READER) -> Browser:
    """Another person's browser on the same application; close it with its client when it matters."""
    person(company, name, role)
    token = session_of(company, name)
    client = TestClient(pages.client.app, base_url="http://127.0.0.1")
    _keep(client, token)
    return Browser(client, token, company.tenant.name)


def _keep(client: TestClient, token: str) -> None:
    """As the service itself sets it, so that a new one takes its place."""
    client.cookies.set(COOKIE, token, domain="127.0.0.1", path="/")


@dataclass(frozen=True)
class Site:
    """The service on a socket, for real browsers."""

    url: str
    company: Company
    cookies: dict[str, str]
    """Of the administrator maria."""

    def at(self, path: str = "") -> str:
        return f"{self.url}/admin/{self.company.tenant.name}" + (f"/{path}" if path else "")


@contextmanager
def served(company: Company) -> Iterator[Site]:
    """The whole service on a port of its own, without a worker."""
    listening = serve.listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(serve.application(company.world), **serve.UVICORN))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield Site(serve.address(listening), company, {COOKIE: session_of(company)})
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def site(company: Company) -> Iterator[Site]:
    person(company)
    with served(company) as found:
        yield found


def set_password(company: Company, name: str, password: str = PASSWORD) -> None:
    with company.world.database.begin() as connection:
        sign_in.set_password(connection, company.tenant.id, company.ids[name], password, must_change=False)
