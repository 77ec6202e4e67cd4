"""Domains as objects: what is refused and where, what is tried, and what never comes out again."""

from typing import Any

import pytest
from sqlalchemy import text

from deskwright.domain.rules import Refused
from deskwright.operations import audit, domains
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from tests.real_domain import RealDomain

CORP: dict[str, Any] = {
    "domain_name": "corp.contoso.test",
    "user_name": "reader@corp.contoso.test",
    "password": "s3cret!",
}


def make(database: Database, tenant: TenantRef, secrets: Secrets, **given: Any) -> Item:
    return domains.create(database, tenant, "test", secrets=secrets, **{**CORP, "verify": False, **given})


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"domain_name": "corp"}, "domainName", "full DNS name"),
        ({"user_name": "CORP\\reader"}, "userName", "UPN"),
        ({"password": ""}, "password", "empty"),
        ({"controllers": ["dc1"]}, "controllers", "NAME=ADDRESS"),
        ({"controllers": ["dc1.corp.contoso.test=nowhere"]}, "controllers", "NAME=ADDRESS"),
        ({"name_servers": ["dc1.corp.contoso.test"]}, "nameServers", "IP address"),
        (
            {"ca_certificate": "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----"},
            "caCertificate",
            "PEM",
        ),
        ({"search_bases": ["Staff"]}, "searchBases", "distinguished name"),
        ({"search_bases": ["OU=Staff,DC=fabrikam,DC=com"]}, "searchBases", "DC=corp,DC=contoso,DC=test"),
        (
            {"search_bases": ["OU=A,DC=corp,DC=contoso,DC=test", "OU=B, ou=a, dc=corp, dc=contoso, dc=test"]},
            "searchBases",
            "read anyway",
        ),
        ({"sign_in": "kerberos"}, "signIn", "none, ldap"),
        ({"sync_interval_minutes": 0}, "syncIntervalInMinutes", "1 to 1440"),
    ],
)
def test_what_cannot_be_is_refused_by_field(
    database: Database, contoso: TenantRef, secrets: Secrets, given: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(Refused, match=says) as refused:
        make(database, contoso, secrets, **given)
    assert refused.value.field == field
    assert domains.list_(database, contoso) == []


def test_a_password_is_kept_encrypted_and_never_told(database: Database, contoso: TenantRef, secrets: Secrets) -> None:
    made = make(database, contoso, secrets)
    with pytest.raises(Refused, match="already"):
        make(database, contoso, secrets, domain_name="CORP.contoso.test")

    def kept() -> str:
        with database.begin() as connection:
            return secrets.decrypt(connection.execute(text("SELECT account_password FROM domains")).scalar_one())

    assert kept() == "s3cret!"
    changed = domains.set_(
        database, contoso, "test", "corp.contoso.test", secrets=secrets, sync_interval_minutes=5, verify=False
    )
    assert (kept(), changed["syncIntervalInMinutes"]) == ("s3cret!", 5)
    domains.set_(database, contoso, "test", made["id"], secrets=secrets, password="an0ther!", verify=False)
    assert kept() == "an0ther!"
    with pytest.raises(Refused, match="leave it out"):
        domains.set_(database, contoso, "test", made["id"], secrets=secrets, password="", verify=False)
    everything = repr([domains.show(database, contoso, made["id"]), audit.list_(database, contoso, limit=100)])
    assert "s3cret!" not in everything
    assert "an0ther!" not in everything
    assert "(changed)" in everything


def test_when_the_next_run_is(database: Database, contoso: TenantRef, secrets: Secrets) -> None:
    made = make(database, contoso, secrets, sync_enabled=False)
    assert made["nextSyncDateTime"] is None
    on = domains.set_(database, contoso, "test", made["id"], secrets=secrets, sync_enabled=True, verify=False)
    assert on["nextSyncDateTime"] is not None
    off = domains.set_(database, contoso, "test", made["id"], secrets=secrets, sync_enabled=False, verify=False)
    assert off["nextSyncDateTime"] is None
    assert domains.synchronise(database, contoso, "test", made["id"])["nextSyncDateTime"] is not None


def test_it_is_tried_before_it_is_kept(
    database: Database, contoso: TenantRef, secrets: Secrets, real_domain: RealDomain
) -> None:
    d, reader = real_domain.domain, real_domain.user()
    right: dict[str, Any] = {
        "user_name": reader.name,
        "password": reader.password,
        "name_servers": d.name_servers,
        "ca_certificate": d.ca_certificate,
        "verify": True,
    }
    for wrong, field, says in (
        ({"password": "wrong"}, "password", "incorrectCredentials"),
        ({"ca_certificate": ""}, "caCertificate", "certificateNotTrusted"),
        ({"name_servers": ["127.0.0.1"]}, "domainName", "domainNotFound"),
        ({"search_bases": [f"OU=Nowhere,{d.distinguished_name}"]}, "searchBases", "organizationalUnitNotFound"),
    ):
        with pytest.raises(Refused, match=says) as refused:
            make(database, contoso, secrets, **{**right, **wrong})
        assert refused.value.field == field
        assert "wrong" not in str(refused.value)
        assert "--no-verify" in str(refused.value)
    made = make(database, contoso, secrets, **right)
    assert made["domainName"] == d.name
    # What does not change the way there is not tried again; what does is.
    domains.set_(database, contoso, "test", d.name, secrets=secrets, sync_interval_minutes=60)
    with pytest.raises(Refused, match="incorrectCredentials"):
        domains.set_(database, contoso, "test", d.name, secrets=secrets, password="wrong")
    with pytest.raises(Refused, match="organizationalUnitNotFound"):
        domains.set_(
            database, contoso, "test", d.name, secrets=secrets, search_bases=[f"OU=Nowhere,{d.distinguished_name}"]
        )


def test_a_test_says_what_it_saw(
    database: Database, contoso: TenantRef, secrets: Secrets, real_domain: RealDomain
) -> None:
    d, unit = real_domain.domain, real_domain.unit()
    real_domain.user(unit=unit)
    known = {"name_servers": d.name_servers, "ca_certificate": d.ca_certificate, "search_bases": [unit]}
    admin = real_domain.administrator
    make(database, contoso, secrets, user_name=admin.name, password=admin.password, **known)
    seen = domains.test(database, contoso, d.name, secrets=secrets)
    assert seen["passed"] is True
    assert [c["id"] for c in seen["checks"]] == ["controllers", "signIn", "searchBases", "deletions"]
    assert seen["counts"] == {"people": 1, "groups": 0, "computers": 0}
    assert f"dc1.{d.name}" in seen["checks"][0]["additionalDetail"]
    domains.set_(database, contoso, "test", d.name, secrets=secrets, password="wrong", verify=False)
    seen = domains.test(database, contoso, d.name, secrets=secrets)
    failed = seen["checks"][-1]
    assert (seen["passed"], failed["id"], failed["errorType"]) == (False, "signIn", "incorrectCredentials")
    assert failed["recommendedAction"]
    assert "wrong" not in repr(seen)
