"""The service as clients meet it: over a socket, with tokens of its own authorisation server."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import uvicorn

from deskwright import serve
from deskwright.graph.contract import model
from deskwright.identity import apps
from deskwright.identity.permissions import ADMINISTRATOR, PERMISSIONS
from deskwright.identity.tokens import Person, issue
from deskwright.operations import applications, roles
from tests.company import Company


@dataclass(frozen=True)
class Served:
    """Where the service is, and an application registered there with every permission an application may hold."""

    url: str
    company: Company
    app_id: str
    secret: str


@pytest.fixture
def served(company: Company) -> Iterator[Served]:
    model("v1.0"), model("beta")
    listening = serve.listen("127.0.0.1", 0)
    app = serve.application(company.world)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield Served(serve.address(listening), company, *register(company))
    server.should_exit = True
    thread.join(20)


def register(company: Company, permissions: tuple[str, ...] = ()) -> tuple[str, str]:
    """An app registration with a secret: (client id, secret)."""
    granted = permissions or tuple(p.name for p in PERMISSIONS.values() if p.application)
    database, tenant = company.world.database, company.tenant
    app = applications.create(database, tenant, "test", display_name="Automation", permissions=granted)
    secret = applications.add_secret(database, tenant, "test", app["id"])
    return app["id"], secret["secretText"]


def token(served: Served) -> str:
    """An access token by client credentials, as a script would get it."""
    import httpx2

    form = {
        "grant_type": "client_credentials",
        "client_id": served.app_id,
        "client_secret": served.secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    answer: Any = httpx2.post(f"{served.url}/{served.company.tenant.id}/oauth2/v2.0/token", data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def administrator(served: Served) -> str:
    """An access token of a signed-in administrator: launch details are told to people only."""
    company = served.company
    company.user("maria")
    database, tenant = company.world.database, company.tenant
    roles.assign(database, tenant, "test", ADMINISTRATOR, "maria@contoso.com")
    with database.single.connect() as connection:
        app = apps.find(connection, UUID(served.app_id))
    assert app is not None
    person = Person(company.ids["maria"], "maria@contoso.com", "Maria")
    return issue(
        database,
        company.world.secrets,
        base=served.url,
        tenant=tenant.id,
        app=app,
        permissions=PERMISSIONS,
        user=person,
    )
