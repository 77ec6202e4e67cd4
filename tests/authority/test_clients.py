"""Microsoft's own client libraries, unmodified, over https with a certificate of `deskwright cert`."""

import contextlib
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msal
import pytest
import uvicorn
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from starlette.applications import Starlette

from deskwright import authority, serve
from deskwright.identity import certificates, tokens
from deskwright.identity.apps import COMMAND_LINE
from deskwright.identity.caller import Caller
from deskwright.operations import applications, credentials
from tests.authority.conftest import GRAPH, PASSWORD, hidden
from tests.company import Company


@dataclass
class Service:
    company: Company
    url: str
    authority: Path

    def caller(self, token: str) -> Caller:
        return tokens.authenticate(self.company.world.database, self.company.world.secrets, f"Bearer {token}")

    @property
    def address(self) -> str:
        return f"{self.url}/{self.company.tenant.id}"

    @contextlib.contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        with httpx.Client(verify=ssl.create_default_context(cafile=str(self.authority))) as browser:
            yield browser


@pytest.fixture
def service(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The authorisation server on a free port, over https."""
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    made = certificates.make(company.world.settings.data_dir)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
    bound = serve.listen("127.0.0.1", 0)
    config = uvicorn.Config(
        Starlette(routes=authority.routes(company.world)),
        log_level="warning",
        lifespan="off",
        ssl_certfile=str(made.server),
        ssl_keyfile=str(made.server_key),
        headers=[("connection", "close")],  # or its end would wait for the connections that these libraries keep
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    thread.start()
    try:
        yield Service(company, serve.address(bound, "https"), made.authority)
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
        tokens.forget(company.world.database)


def test_azure_identity_signs_an_application_in(service: Service) -> None:
    change = service.company.world.database, service.company.tenant, "test"
    app = applications.create(*change, display_name="report", permissions=["CloudPC.Read.All"])["id"]
    secret = applications.add_secret(*change, app)["secretText"]

    def credential(secret: str) -> ClientSecretCredential:
        return ClientSecretCredential(
            str(service.company.tenant.id),
            app,
            secret,
            authority=service.url,
            disable_instance_discovery=True,
            connection_verify=str(service.authority),
        )

    with credential(secret) as good:
        token = good.get_token(f"{GRAPH}/.default").token
    caller = service.caller(token)
    assert (caller.actor, caller.permissions) == ("report", frozenset({"CloudPC.Read.All"}))
    with credential("wrong") as bad, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        bad.get_token(f"{GRAPH}/.default")


def sign_in(browser: httpx.Client, address: str, page: httpx.Response, **more: str) -> httpx.Response:
    form = {
        "csrf": hidden(page, "csrf"),
        "username": "adele@contoso.com",
        "password": PASSWORD,
        "action": "sign-in",
        **more,
    }
    return browser.post(address, data=form)


def person(service: Service) -> None:
    service.company.user("adele")
    credentials.set_password(
        service.company.world.database, service.company.tenant, "test", "adele@contoso.com", PASSWORD
    )


def public(service: Service) -> msal.PublicClientApplication:
    return msal.PublicClientApplication(
        str(COMMAND_LINE), authority=service.address, instance_discovery=False, verify=str(service.authority)
    )


def test_msal_signs_a_device_in_and_refreshes_by_itself(service: Service) -> None:
    person(service)
    tool = public(service)
    flow = tool.initiate_device_flow(scopes=["CloudPC.Read.All"])
    with service.browser() as browser:
        page = browser.get(flow["verification_uri"])
        form = {"csrf": hidden(page, "csrf"), "user_code": flow["user_code"], "action": "next"}
        page = browser.post(flow["verification_uri"], data=form)
        assert "__Host-deskwright-form" in browser.cookies
        done = sign_in(browser, flow["verification_uri"], page, user_code=flow["user_code"])
    assert "You are signed in" in done.text
    found = tool.acquire_token_by_device_flow(flow)
    assert service.caller(found["access_token"]).actor == "adele@contoso.com"
    assert found["id_token_claims"]["preferred_username"] == "adele@contoso.com"
    (account,) = tool.get_accounts()
    kept = tool.acquire_token_silent(["CloudPC.Read.All"], account)
    assert kept["access_token"] == found["access_token"]
    fresh = tool.acquire_token_silent(["CloudPC.Read.All"], account, force_refresh=True)
    assert fresh["access_token"] != found["access_token"]
    assert service.caller(fresh["access_token"]).permissions == {"CloudPC.Read.All", "User.Read"}


@pytest.mark.filterwarnings("ignore:response_mode='form_post' is recommended")
@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_msal_signs_a_person_in_with_a_browser(service: Service, mode: str) -> None:
    person(service)
    tool = public(service)
    redirect = "http://localhost:8400"
    flow: dict[str, Any] = tool.initiate_auth_code_flow(
        ["CloudPC.ReadWrite.All"], redirect_uri=redirect, response_mode=mode
    )
    with service.browser() as browser:
        answer = sign_in(browser, flow["auth_uri"], browser.get(flow["auth_uri"]))
    if mode == "form_post":
        back = {name: hidden(answer, name) for name in ("code", "state")}
    else:
        where = urlsplit(answer.headers["location"])
        assert f"{where.scheme}://{where.netloc}" == redirect
        back = {name: values[0] for name, values in parse_qs(where.query).items()}
    found = tool.acquire_token_by_auth_code_flow(flow, back)
    assert "CloudPC.ReadWrite.All" in service.caller(found["access_token"]).permissions
    assert found["id_token_claims"]["name"] == "adele"


def test_msal_finds_the_keys_and_verifies_an_issuer(service: Service) -> None:
    with service.browser() as browser:
        found = browser.get(f"{service.address}/v2.0/.well-known/openid-configuration").json()
        assert found["issuer"] == f"{service.address}/v2.0"
        assert found["token_endpoint"] == f"{service.address}/oauth2/v2.0/token"
        assert browser.get(found["jwks_uri"]).json()["keys"][0]["kty"] == "RSA"
