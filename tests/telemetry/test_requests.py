"""Every answer has the request's ids, and every request is counted under a route that has a bound."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from deskwright.provision.context import World
from deskwright.serve import application
from deskwright.telemetry import metrics
from deskwright.telemetry.metrics import REQUESTS
from deskwright.telemetry.requests import surface
from tests.company import Company

PATHS = {
    "/": "/",
    "/healthz": "/healthz",
    "/metrics": "/metrics",
    "/v1.0/deviceManagement/virtualEndpoint/cloudPCs": "/v1.0/*",
    "/beta/nothing/at/all": "/beta/*",
    "/deskwright/cloudPCs/{}": "/deskwright/cloudPCs/{cloudPC}",
    "/deskwright/nothing": "/deskwright/*",
    "/admin/contoso.com/health": "/admin/{tenant}/health",
    "/admin/contoso.com/nothing": "/admin/{rest:path}",
    "/sign-in": "/sign-in",
    "/contoso.com/v2.0/.well-known/openid-configuration": "/{tenant}/v2.0/.well-known/openid-configuration",
    "/nothing-{}": "unmatched",
}


@pytest.fixture
def client(company: Company) -> Iterator[TestClient]:
    with TestClient(
        application(company.world), base_url="http://localhost", follow_redirects=False, client=("127.0.0.1", 5000)
    ) as made:
        yield made


def counted() -> set[str]:
    return {
        sample.labels["route"]
        for family in metrics.registry().collect()
        for sample in family.samples
        if sample.name == REQUESTS.name and sample.value
    }


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_its_ids(client: TestClient, path: str) -> None:
    answer = client.get(path.format("x"))
    assert UUID(answer.headers["request-id"])
    assert answer.headers["client-request-id"] == answer.headers["request-id"]
    named = client.get(path.format("y"), headers={"client-request-id": "mine-1"})
    assert named.headers["client-request-id"] == "mine-1"
    assert UUID(named.headers["request-id"]) != UUID(answer.headers["request-id"])
    odd = client.get(path.format("z"), headers={"client-request-id": "a b"})
    assert odd.headers["client-request-id"] == odd.headers["request-id"]


def test_an_error_of_graph_has_the_same_id_inside(client: TestClient) -> None:
    answer = client.get("/v1.0/users")
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]
    answer = client.get("/deskwright/cloudPCs")
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]


def test_routes_are_templates(client: TestClient) -> None:
    for n in range(3):
        for path in PATHS:
            client.get(path.format(n))
    client.request("BREW", "/healthz")
    assert set(PATHS.values()) <= counted()
    assert not any("contoso" in route or "nothing" in route for route in counted())


@pytest.mark.parametrize(
    ("route", "belongs"),
    [
        ("/v1.0/users/{id}", "graph"),
        ("/deskwright/cloudPCs", "api"),
        ("/admin/{tenant}/health", "admin"),
        ("/portal", "portal"),
        ("/{tenant}/oauth2/v2.0/token", "authority"),
        ("/healthz", "other"),
        ("unmatched", "other"),
    ],
)
def test_surfaces(route: str, belongs: str) -> None:
    assert surface(route) == belongs


def with_settings(company: Company, **settings: object) -> World:
    return World(
        company.world.database, company.world.secrets, company.world.settings.model_copy(update=dict(settings))
    )


def test_metrics_are_for_this_machine_or_who_has_the_token(company: Company) -> None:
    near, far = ("127.0.0.1", 5000), ("10.0.0.7", 5000)
    open_to = application(company.world)
    assert TestClient(open_to, client=near).get("/metrics").status_code == 200
    assert TestClient(open_to, client=far).get("/metrics").status_code == 403
    assert TestClient(open_to, client=near).get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 403
    guarded = application(with_settings(company, metrics_token=SecretStr("0123456789abcdef")))
    assert TestClient(guarded, client=near).get("/metrics").status_code == 401
    told = TestClient(guarded, client=far).get("/metrics", headers={"Authorization": "Bearer 0123456789abcdef"})
    assert told.status_code == 200
    assert told.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "deskwright_workers_alive 0.0" in told.text


def test_readiness_is_honest(company: Company, tmp_path: Path) -> None:
    """A worker that stands still is not alive, however much its thread is there; nor is a schema of another version."""
    alive = [True]
    with TestClient(application(company.world, lambda: alive[0])) as client:
        assert client.get("/readyz").status_code == 200
        alive[0] = False
        told = client.get("/readyz")
        assert (told.status_code, told.json()["checks"]["worker"]["status"]) == (503, "failed")
        alive[0] = True
        company.sql("UPDATE alembic_version SET version_num = '0001'")
        told = client.get("/readyz")
        assert (told.status_code, told.json()["checks"]["schema"]["status"]) == (503, "failed")
        assert client.get("/healthz").status_code == 200, "to start it again would mend nothing"
