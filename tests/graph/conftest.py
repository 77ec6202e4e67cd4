"""A Graph client for tests: the real application, called in-process, by callers one makes up."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from deskwright.graph import app as graph_app
from deskwright.graph.app import GraphApp
from deskwright.graph.contract import VERSIONS
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import ADMINISTRATOR, PERMISSIONS
from tests.company import Company


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str:
        """An error's."""
        return str(self.body["error"]["code"])

    @property
    def values(self) -> list[dict[str, Any]]:
        """A collection's."""
        found: list[dict[str, Any]] = self.body["value"]
        return found

    def of(self, name: str) -> list[Any]:
        """One property of every entity of a collection."""
        return [item[name] for item in self.values]


@dataclass
class Graph:
    """Calls ``/beta`` unless the path says otherwise."""

    client: TestClient
    caller: Caller
    current: dict[str, Caller] = field(repr=False)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        full = path if path.startswith(("/v1.0", "/beta", "http")) else f"/beta{path}"
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

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, **headers)

    def endpoint(self, path: str) -> str:
        return f"/beta/deviceManagement/virtualEndpoint/{path}"

    def all(self, path: str) -> list[dict[str, Any]]:
        """Every entity of a collection, following the links to the next page."""
        found: list[dict[str, Any]] = []
        link: str | None = path
        while link:
            answer = self.get(link)
            assert answer.status == 200, answer.body
            found += answer.values
            link = answer.body.get("@odata.nextLink")
        return found

    def as_(self, **changes: Any) -> "Graph":
        """The same for a caller with other rights: ``permissions``, ``roles``, ``user_id`` …"""
        return Graph(self.client, replace(self.caller, **changes), self.current)

    def as_user(self, user_id: UUID, upn: str, *roles: str) -> "Graph":
        """A signed-in person, by a token with every scope."""
        return self.as_(user_id=user_id, user_principal_name=upn, actor=upn, roles=frozenset(roles))


@pytest.fixture
def graph(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """An application of the company's tenant with every permission."""
    caller = Caller(
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
    current = {"caller": caller}
    monkeypatch.setattr(graph_app, "authenticate", lambda *_args, **_kw: current["caller"])
    mounted = Starlette(routes=[Mount(f"/{v}", GraphApp(company.world, v)) for v in VERSIONS])
    with TestClient(mounted, base_url="http://127.0.0.1", raise_server_exceptions=True) as client:
        yield Graph(client, caller, current)


__all__ = ["ADMINISTRATOR", "Answer", "Graph"]
