"""A join account's password is tried when it is entered: by every way in, at the controller, for five seconds."""

import time
from typing import Any

import pytest
from typer.testing import CliRunner

from deskwright.cli.app import app
from deskwright.domain.rules import Refused
from deskwright.operations import connections
from deskwright.operations.change import TenantRef
from deskwright.providers.activedirectory import health
from deskwright.store.database import Database
from tests.company import Company
from tests.graph.conftest import Graph, graph
from tests.office import Office
from tests.real_domain import RealDomain
from tests.web.carried import go, now
from tests.web.conftest import Browser, pages
from tests.web.test_connections import DETAIL

__all__ = ["graph", "pages"]

WRONG = "n0t-The-Passw0rd-of-anybody"


def kept(company: Company) -> list[str]:
    rows = company.sql("SELECT ad_domain_password FROM connections ORDER BY display_name")
    return [company.world.secrets.decrypt(bytes(value)) for (value,) in rows]


def entered(office: Office, **changes: Any) -> dict[str, Any]:
    return {
        "secrets": office.company.world.secrets,
        "display_name": "Branch",
        "connection_type": "hybridAzureADJoin",
        "region": "site-a",
        "network": "corp",
        "subnet": "10.30.0.0/24",
        "ad_domain_name": office.real.domain.name,
        "organizational_unit": office.unit,
        "ad_domain_username": office.joiner.name,
        "ad_domain_password": office.joiner.password,
        **changes,
    }


def of(office: Office) -> tuple[Database, TenantRef, str]:
    return office.company.world.database, office.company.tenant, "test"


def test_a_wrong_password_makes_no_connection(office: Office) -> None:
    with pytest.raises(Refused) as refused:
        connections.create(*of(office), **entered(office, ad_domain_password=WRONG))
    assert refused.value.field == "adDomainPassword"
    assert "is not taken by the domain" in refused.value.rule
    assert f"{office.joiner.name} at {office.real.controller.host}" in refused.value.rule
    assert WRONG not in f"{refused.value} {refused.value.__dict__}"
    assert office.company.sql("SELECT display_name FROM connections") == [("HQ",)]
    assert connections.create(*of(office), **entered(office))["displayName"] == "Branch"


def test_a_wrong_password_does_not_replace_a_right_one(office: Office) -> None:
    secrets = office.company.world.secrets
    with pytest.raises(Refused, match="is not taken by the domain"):
        connections.set_password(*of(office), "HQ", WRONG, secrets=secrets)
    with pytest.raises(Refused, match="is not taken by the domain"):
        connections.set_(*of(office), "HQ", ad_domain_password=WRONG, secrets=secrets)
    assert kept(office.company) == [office.joiner.password]
    connections.set_password(*of(office), "HQ", office.joiner.password, secrets=secrets)


def test_another_account_must_go_with_the_password_there_is(office: Office) -> None:
    other = office.real.user()
    with pytest.raises(Refused, match=other.name):
        connections.set_(*of(office), "HQ", ad_domain_username=other.name)
    secrets = office.company.world.secrets
    connections.set_(
        *of(office), "HQ", ad_domain_username=other.name, ad_domain_password=other.password, secrets=secrets
    )
    assert kept(office.company) == [other.password]


def test_what_has_nothing_to_do_with_the_account_asks_nobody(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "signed_in", None)
    connections.set_(*of(office), "HQ", subnet="10.21.0.0/24")


def test_graph_refuses_it_too(office: Office, graph: Graph) -> None:
    path = graph.endpoint(f"onPremisesConnections/{office.company.ids['HQ']}")
    answer = graph.post(f"{path}/updateAdDomainPassword", {"adDomainPassword": WRONG})
    assert answer.status == 400
    assert "is not taken by the domain" in answer.body["error"]["message"]
    assert WRONG not in str(answer.body)
    assert graph.patch(path, {"adDomainPassword": WRONG}).status == 400
    assert graph.post(f"{path}/updateAdDomainPassword", {"adDomainPassword": office.joiner.password}).status == 204
    body = {
        "displayName": "Branch",
        "type": "hybridAzureADJoin",
        "virtualNetworkId": "corp",
        "subnetId": "10.30.0.0/24",
        "adDomainName": office.real.domain.name,
        "adDomainUsername": office.joiner.name,
        "adDomainPassword": WRONG,
    }
    assert graph.post(graph.endpoint("onPremisesConnections"), body).status == 400
    assert kept(office.company) == [office.joiner.password]


def test_so_does_the_command(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", office.company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(office.company.world.settings.data_dir))
    done = CliRunner().invoke(app, ["connection", "set-password", "HQ", "--password-stdin"], input=f"{WRONG}\n")
    assert done.exit_code == 1
    assert "is not taken by the domain" in " ".join(done.output.split())
    assert WRONG not in done.output
    assert kept(office.company) == [office.joiner.password]


def test_and_the_wizard_asks_for_it_again(office: Office, pages: Browser) -> None:
    new = "connections/new"
    credentials = {
        "adDomainName": office.real.domain.name,
        "organizationalUnit": office.unit,
        "adDomainUsername": office.joiner.name,
    }
    page = go(pages, new, pages.get(new), {"region": "site-a"})
    page = go(pages, new, page, DETAIL)
    review = go(pages, new, page, {**credentials, "adDomainPassword": WRONG})
    again = go(pages, new, review, {}, "create")
    assert (again.status, now(again)) == (422, "Credentials")
    assert "not taken by the domain" in again.words
    assert WRONG not in again.text
    review = go(pages, new, again, {**credentials, "adDomainPassword": office.joiner.password})
    assert "The connection Branch is made" in go(pages, new, review, {}, "create").words


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "silent"])
def test_a_domain_that_cannot_be_asked_takes_it_and_the_checks_tell(office: Office, closed: bool) -> None:
    """Whoever sets up a connection before its domain can be reached must be able to; nothing is provisioned by it."""
    nobody = office.real.controller.address.rpartition(".")[0] + ".99"
    address = "127.0.0.1" if closed else nobody
    office.describe(controllers=[f"dc1.corp.contoso.test={address}"] * 3)
    began = time.monotonic()
    connections.set_password(*of(office), "HQ", WRONG, secrets=office.company.world.secrets)
    assert time.monotonic() - began < health.ENTRY_SECONDS + 1
    assert kept(office.company) == [WRONG]
    assert office.check()["directoryReach"].status == "failed"
    assert office.health == "failed"


def test_a_locked_account_is_told_as_such(office: Office) -> None:
    office.real.controller.tool("user", "disable", office.joiner.name.partition("@")[0])
    with pytest.raises(Refused, match="is not taken by the domain"):
        connections.set_password(*of(office), "HQ", office.joiner.password, secrets=office.company.world.secrets)


def test_a_simulated_directory_takes_any(company: Company) -> None:
    company.site()
    company.connection("HQ")
    of = company.world.database, company.tenant, "test", "HQ"
    connections.set_password(*of, "anything", secrets=company.world.secrets)


def test_where_the_domain_is_comes_from_dns_if_nobody_described_it(office: Office, real_domain: RealDomain) -> None:
    """This machine's DNS does not know it, so it cannot be asked."""
    office.company.sql("DELETE FROM domains")
    connections.set_password(*of(office), "HQ", WRONG, secrets=office.company.world.secrets)
    assert "this machine's name servers" in office.check()["dns"].detail
