"""OpenID Connect issuers that people of the tenant may sign in with. Whoever runs one can sign in as anybody of it."""

from typing import Any

from sqlalchemy import Row, func

from deskwright.domain.rules import Refused
from deskwright.identity import issuer_web
from deskwright.identity.issuer_web import IssuerProblem
from deskwright.operations import named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item, Noun
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from deskwright.store.tables import identity_providers

USER_CLAIM = "preferred_username"
PATH = "/sign-in/back/"
"""Where issuers send browsers back to, followed by the provider's id."""
_LONGEST = 400
_LONGEST_SECRET = 1000


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "issuer": row.issuer,
        "clientId": row.client_id,
        "clientSecretSet": row.client_secret is not None,
        "userClaim": row.user_claim,
        "enabled": row.enabled,
        "createdDateTime": row.created_at,
    }


PROVIDER = Noun(
    "identityProvider",
    "identity provider",
    identity_providers,
    "displayName",
    "display_name",
    _present,
    "identity-provider",
)


def redirect_address(base: str, provider: Item) -> str:
    """What is to be registered at the issuer. `base`: where people reach the service."""
    return f"{base.rstrip('/')}{PATH}{provider['id']}"


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    issuer: str,
    client_id: str,
    client_secret: str | None = None,
    user_claim: str = USER_CLAIM,
    enabled: bool = True,
    secrets: Secrets,
) -> Item:
    """Let people sign in with an issuer. Without a secret we are a public client there; PKCE is used in either case."""
    values = {
        "display_name": check_display_name(display_name),
        "issuer": check_issuer(issuer),
        "client_id": named.check_name("clientId", client_id, longest=_LONGEST),
        "client_secret": _secret(client_secret, secrets),
        "user_claim": check_claim(user_claim),
        "enabled": enabled,
    }
    with change(database, tenant, actor) as opened:
        named.refuse_taken(opened.connection, tenant, PROVIDER, str(values["display_name"]))
        return _present(named.create(opened, PROVIDER, created_at=func.now(), **values))


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    provider: str,
    *,
    display_name: str | None = None,
    issuer: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    user_claim: str | None = None,
    enabled: bool | None = None,
    secrets: Secrets,
) -> Item:
    """Change what is given; an empty secret takes the one there is away. Who is signed in stays so."""
    values: dict[str, Any] = {
        "display_name": None if display_name is None else check_display_name(display_name),
        "issuer": None if issuer is None else check_issuer(issuer),
        "client_id": None if client_id is None else named.check_name("clientId", client_id, longest=_LONGEST),
        "user_claim": None if user_claim is None else check_claim(user_claim),
        "enabled": enabled,
    }
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, PROVIDER, provider)
        if display_name is not None:
            named.refuse_taken(opened.connection, tenant, PROVIDER, values["display_name"], besides=row.id)
        after = named.modify(opened, PROVIDER, row, **values)
        if client_secret is not None:
            table = identity_providers
            new = table.update().where(table.c.tenant_id == tenant.id, table.c.id == row.id)
            new = new.values(client_secret=_secret(client_secret, secrets)).returning(*table.c)
            after = opened.connection.execute(new).one()
            told = {"clientSecret": "(changed)" if client_secret else "(removed)"}
            opened.audit(
                "Change client secret",
                PROVIDER.kind,
                [event(row.id, after.display_name, {"clientSecret": "(hidden)"}, told)],
            )
        return _present(after)


def delete(database: Database, tenant: TenantRef, actor: str, provider: str) -> Item:
    """Nobody signs in with it any more; who is signed in stays so."""
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, PROVIDER, provider)
        named.remove(opened, PROVIDER, row)
        return _present(row)


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    with database.single.connect() as connection:
        return [_present(row) for row in named.page(connection, tenant, PROVIDER, after, limit)]


def show(database: Database, tenant: TenantRef, provider: str) -> Item:
    with database.single.connect() as connection:
        return _present(named.one(connection, tenant, PROVIDER, provider))


def problem(provider: Item) -> str:
    """Ask the issuer for its description and keys: what is wrong with them, empty where nothing is."""
    issuer_web.forget()
    try:
        issuer_web.keys(issuer_web.describe(provider["issuer"]))
    except IssuerProblem as found:
        return f"{found}."
    return ""


def check_display_name(value: str) -> str:
    return named.check_name("displayName", value, longest=60)


def check_issuer(value: str) -> str:
    """As the issuer itself writes it: with or without a slash at the end makes a difference."""
    value = named.check_name("issuer", value, longest=_LONGEST)
    if not issuer_web.is_address(value) or "?" in value:
        rule = "must be https://… (or http on this very machine), as the issuer's description names it"
        raise Refused("issuer", value, rule, remedy="It is what stands before /.well-known/openid-configuration")
    return value


def check_claim(value: str) -> str:
    return named.check_name("userClaim", value, longest=100)


def _secret(given: str | None, secrets: Secrets) -> bytes | None:
    if not given:
        return None
    if len(given) > _LONGEST_SECRET or not given.isprintable():
        raise Refused("clientSecret", None, f"must be printable, of at most {_LONGEST_SECRET} characters")
    return secrets.encrypt(given)
