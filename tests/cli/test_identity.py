"""The commands about who may call: they print what scripts need, and nothing that should stay secret."""

import json
import signal
import ssl
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner, Result

from deskwright import serve
from deskwright.cli.app import app
from deskwright.identity import certificates, tokens
from tests.cli.test_service import started, until
from tests.company import Company


@pytest.fixture
def here(company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(company.world.settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    return company


def run(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(app, words, input=given)


def said(*words: str, given: str = "") -> str:
    result = run(*words, given=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


def test_token_prints_the_token_and_nothing_else(here: Company) -> None:
    printed = said("token", "--tenant", "contoso.com", "--scope", "cloudpc.read.all", "-s", "User.Read.All")
    token = printed.removesuffix("\n")
    assert token.count(".") == 2
    assert token.split() == [token]
    caller = tokens.authenticate(here.world.database, here.world.secrets, f"Bearer {token}")
    assert caller.permissions == {"CloudPC.Read.All", "User.Read.All"}
    assert (caller.tenant_name, caller.app_name, caller.delegated) == ("contoso.com", "Deskwright command line", False)
    usual = tokens.authenticate(here.world.database, here.world.secrets, f"Bearer {told('token')['access_token']}")
    assert usual.permissions == {"CloudPC.ReadWrite.All"}
    issued = here.sql("SELECT actor, after FROM audit_events WHERE activity = 'Issue token' ORDER BY id")
    assert len(issued) == 2
    assert token not in repr(issued)


def test_token_refuses_what_is_no_permission(here: Company) -> None:
    result = run("token", "--scope", "CloudPC.Everything")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "CloudPC.Everything" in result.stderr


def test_an_application_from_its_registration_to_its_end(here: Company) -> None:
    made = told("app", "create", "report", "-p", "CloudPC.Read.All", "--redirect-uri", "http://localhost")
    assert made["redirectUris"] == ["http://localhost"]
    secret = told("app", "secret", "report", "--days", "10")
    assert secret["appId"] == made["id"]
    for words in (("app", "show", "report"), ("app", "list"), ("app", "show", "report", "--json")):
        assert secret["secretText"] not in said(*words)
    assert f"{secret['hint']}…" in said("app", "show", "report")
    printed = said("app", "secret", "report")
    assert made["id"] in printed
    assert str(here.tenant.id) in printed
    said("app", "secret", "report", "--remove", secret["keyId"])
    assert len(told("app", "show", "report")["passwordCredentials"]) == 1
    assert told("app", "set", "report", "--disabled")["accountEnabled"] is False
    said("app", "delete", "report")
    assert told("app", "list") == []
    assert run("app", "show", "report").exit_code == 1


def test_roles_and_passwords(here: Company) -> None:
    here.user("adele")
    assert told("role", "assign", "administrator", "adele@contoso.com")["role"] == "Cloud PC Administrator"
    assert "adele@contoso.com" in said("role", "list")
    said("role", "unassign", "administrator", "adele@contoso.com")
    assert told("role", "list") == []
    made = told("user", "set-password", "adele@contoso.com", "--generate")
    assert len(made["password"]) == 19
    assert made["forceChangePasswordNextSignIn"] is True
    printed = said("user", "set-password", "adele@contoso.com", "--password-stdin", given="correct horse battery\n")
    assert "horse" not in printed
    assert run("user", "set-password", "adele@contoso.com", "--generate", "--password-stdin").exit_code == 2


def test_cert_says_what_clients_need(here: Company, tmp_path: Path) -> None:
    printed = said("cert", "--host", "desktops.contoso.com")
    assert "desktops.contoso.com" in printed
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert f"{variable}={tmp_path / 'tls' / 'ca.pem'}" in printed
    authority = (tmp_path / "tls" / "ca.pem").read_bytes()
    again = told("cert")
    assert "desktops.contoso.com" in again["hosts"]
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == authority
    assert run("cert", "--host", "a b").exit_code == 1


@pytest.mark.processes
def test_serve_listens_on_https_beside_http_and_stops_gracefully(here: Company, tmp_path: Path) -> None:
    with started(here, "serve", "--https-port", "0", "--data-dir", str(tmp_path), cwd=tmp_path) as process:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "deskwright cert" in " ".join(out.split())
    made = certificates.make(tmp_path)
    words = ("serve", "--port", "0", "--https-port", "0", "--no-worker", "--data-dir", str(tmp_path))
    with started(here, *words, cwd=tmp_path) as process:
        until(lambda: serve.running(tmp_path) is not None or process.poll() is not None)
        about = serve.running(tmp_path)
        assert about is not None, process.communicate()[0]
        trusting = ssl.create_default_context(cafile=str(made.authority))
        path = "/contoso.com/v2.0/.well-known/openid-configuration"
        for base in (about["url"], about["httpsUrl"]):
            with urlopen(base + path, timeout=20, context=trusting if base.startswith("https") else None) as answer:
                assert json.load(answer)["issuer"] == f"{base}/{here.tenant.id}/v2.0"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert about["httpsUrl"] in out
    assert "Stopped." in out
    assert "Traceback" not in out
