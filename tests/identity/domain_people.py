"""People of a tenant who sign in with a real domain's password, as the synchronisation would have made them."""

import json
from uuid import UUID, uuid4

from deskwright.active_directory.client import Account
from tests.company import Company
from tests.real_domain import RealDomain


def know(company: Company, real: RealDomain, *, sign_in: str = "ldap", tenant: UUID | None = None) -> UUID:
    """The domain as an object of the tenant; its id."""
    where = real.domain
    ((made,),) = company.sql(
        "INSERT INTO domains (tenant_id, name, name_servers, ca_certificate, account_name, account_password, sign_in) "
        "VALUES (COALESCE(:of, :tenant), :name, ARRAY(SELECT jsonb_array_elements_text(CAST(:servers AS jsonb))), "
        ":ca, 'reader@corp', :password, :sign_in) RETURNING id",
        of=tenant,
        name=where.name,
        servers=json.dumps(where.name_servers),
        ca=where.ca_certificate,
        password=company.world.secrets.encrypt("reader's password"),
        sign_in=sign_in,
    )
    return UUID(str(made))


def synchronised(company: Company, real: RealDomain, domain: UUID, account: Account, **more: object) -> UUID:
    """The account as a user; its id. `tenant`: of another one."""
    name = account.name.partition("@")[0]
    with real.as_administrator() as opened:
        opened.ldap.search(real.domain.distinguished_name, f"(sAMAccountName={name})", attributes=["objectGUID"])
        found = opened.ldap.response or ()
        raw = next(e for e in found if "raw_attributes" in e)["raw_attributes"]["objectGUID"][0]
    ((made,),) = company.sql(
        "WITH u AS (INSERT INTO users (tenant_id, user_principal_name, display_name, domain_id) "
        "VALUES (COALESCE(:of, :tenant), :upn, :name, :domain) RETURNING id, tenant_id) "
        "INSERT INTO domain_objects (domain_id, source_id, tenant_id, kind, object_id, name, distinguished_name, "
        "seen_at) SELECT :domain, :guid, tenant_id, 'user', id, :name, 'CN=' || :name, now() FROM u "
        "RETURNING object_id",
        of=more.get("tenant"),
        upn=account.name,
        name=name,
        domain=domain,
        guid=more.get("source") or UUID(bytes_le=raw),
    )
    company.ids[name] = UUID(str(made))
    return company.ids[name]


def stranger() -> UUID:
    """The objectGUID of nobody."""
    return uuid4()
