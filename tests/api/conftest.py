"""A client of `/deskwright` for tests: the real application, called in-process, by callers one makes up."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from deskwright import serve
from deskwright.api import asked, routes
from deskwright.graph import app as graph_app
from deskwright.identity import tokens
from deskwright.identity.apps import COMMAND_LINE, built_in
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import PERMISSIONS
from tests.company import Company
from tests.graph.conftest import Answer


@dataclass
class Api:
    """Calls `/deskwright` unless the path says otherwise."""

    client: TestClient
    caller: Caller
    current: dict[str, Caller] = field(repr=False)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        full = path if path.startswith(("/deskwright", "/v1.0", "/beta")) else f"/deskwright{path}"
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            sent.setdefault("content-type", "application/json")
        self.current["caller"] = self.caller
        got = self.client.request(method, full, content=content, headers=sent)
        is_json = "json" in got.headers.get("content-type", "") and got.content
        return Answer(got.status_code, got.json() if is_json else got.content, got.headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, **headers)

    def as_(self, **changes: Any) -> "Api":
        """The same for a caller with other rights: ``permissions``, ``roles``, ``tenant_id`` …"""
        return Api(self.client, replace(self.caller, **changes), self.current)

    def as_user(self, user_id: UUID, upn: str, *roles: str) -> "Api":
        """A signed-in person, by a token with every scope."""
        return self.as_(user_id=user_id, user_principal_name=upn, actor=upn, roles=frozenset(roles))


@pytest.fixture
def caller(company: Company) -> Caller:
    """An application of the company's tenant with every permission."""
    return Caller(
        tenant_id=company.tenant.id,
        tenant_name=company.tenant.name,
        actor="Automation",
        app_id=uuid4(),
        app_name="Automation",
        user_id=None,
        user_principal_name=None,
        permissions=frozenset(PERMISSIONS),
        roles=frozenset(),
    )


@pytest.fixture
def api(company: Company, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    current = {"caller": caller}
    for module in (asked, graph_app):
        monkeypatch.setattr(module, "authenticate", lambda *_args, **_kw: current["caller"])
    mounted = Starlette(routes=routes.routes(company.world))
    with TestClient(mounted, base_url="http://127.0.0.1", raise_server_exceptions=True) as client:
        yield Api(client, caller, current)


@dataclass(frozen=True)
class Served:
    """The service on a socket, and a token of its own with every permission."""

    url: str
    token: str


@pytest.fixture
def served(company: Company) -> Iterator[Served]:
    listening = serve.listen("127.0.0.1", 0)
    app = serve.application(company.world)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    url = serve.address(listening)
    client = built_in(COMMAND_LINE)
    assert client is not None
    token = tokens.issue(
        company.world.database,
        company.world.secrets,
        base=url,
        tenant=company.tenant.id,
        app=client,
        permissions=PERMISSIONS,
    )
    yield Served(url, token)
    server.should_exit = True
    thread.join(20)
