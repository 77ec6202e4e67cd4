"""What clients find out by themselves: configuration, keys, instance."""

from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.testclient import TestClient

from deskwright import authority
from deskwright.provision.context import World
from tests.authority.conftest import BASE, Door, error


def test_the_configuration_names_addresses_that_exist(door: Door) -> None:
    for name in (door.tenant, "contoso.com"):
        found = door.browser.get(f"/{name}/v2.0/.well-known/openid-configuration").json()
        assert found["issuer"] == f"{BASE}/{door.tenant}/v2.0"
        assert found["code_challenge_methods_supported"] == ["S256"]
        for endpoint in ("authorization", "token", "device_authorization", "end_session"):
            address = found[f"{endpoint}_endpoint"]
            assert address.startswith(f"{BASE}/{door.tenant}/oauth2/v2.0/")
            assert door.browser.get(address).status_code in (200, 400, 405)
        assert door.browser.get(found["jwks_uri"]).json()["keys"]


def test_where_anybody_signs_in_the_issuer_is_a_pattern(door: Door) -> None:
    found = door.browser.get("/organizations/v2.0/.well-known/openid-configuration").json()
    assert found["issuer"] == f"{BASE}/{{tenantid}}/v2.0"
    assert found["token_endpoint"] == f"{BASE}/organizations/oauth2/v2.0/token"


def test_an_unknown_tenant_is_told(door: Door) -> None:
    for path in ("v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"):
        error(door.browser.get(f"/nobody.com/{path}"), 400, "invalid_request", 90002)
    page = door.browser.get("/nobody.com/oauth2/v2.0/authorize", params=door.authorize())
    assert page.status_code == 400
    assert "AADSTS90002" in page.text


def test_the_published_keys_verify_tokens(door: Door) -> None:
    app = door.app()
    token = door.as_application(app, door.secret("report")).json()["access_token"]
    keys = KeySet.import_key_set(door.browser.get(f"/{door.tenant}/discovery/v2.0/keys").json())
    assert jwt.decode(token, keys, algorithms=["RS256"]).claims["app_displayname"] == "report"


def test_the_instance_is_a_cloud_by_itself(door: Door) -> None:
    asked = {"api-version": "1.1", "authorization_endpoint": f"{BASE}/contoso.com/oauth2/v2.0/authorize"}
    found = door.browser.get("/common/discovery/instance", params=asked).json()
    assert found["tenant_discovery_endpoint"] == f"{BASE}/contoso.com/v2.0/.well-known/openid-configuration"
    assert found["metadata"] == [
        {"preferred_network": "127.0.0.1:8765", "preferred_cache": "127.0.0.1:8765", "aliases": ["127.0.0.1:8765"]}
    ]


def test_behind_a_proxy_the_set_address_counts(door: Door) -> None:
    world = door.company.world
    public = world.settings.model_copy(update={"public_address": "https://desktops.contoso.com"})
    app = Starlette(routes=authority.routes(World(world.database, world.secrets, public)))
    with TestClient(app, base_url="http://10.0.0.1") as browser:
        found = browser.get("/contoso.com/v2.0/.well-known/openid-configuration").json()
    assert found["issuer"] == f"https://desktops.contoso.com/{door.tenant}/v2.0"


def test_signing_out_says_that_nothing_is_kept(door: Door) -> None:
    page = door.browser.get(door.path("logout"), params={"post_logout_redirect_uri": "https://evil.example"})
    assert page.status_code == 200
    assert "evil" not in page.text
