"""Passwords of people, set by an administrator (they change their own where they sign in), and tokens for scripts."""

from collections.abc import Sequence

from deskwright.domain.rules import Refused
from deskwright.identity import apps, sign_in, tokens
from deskwright.identity.passwords import check_password
from deskwright.identity.permissions import PERMISSIONS, known
from deskwright.operations import named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.users import USER
from deskwright.store import audit
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets, one_time_password


def set_password(
    database: Database,
    tenant: TenantRef,
    actor: str,
    user: str,
    password: str | None = None,
    *,
    must_change: bool | None = None,
) -> Item:
    """Set a person's password; without one, make a one-time password, to be changed at the first sign-in.

    A password that was made stands in the answer (`password`) and nowhere else. What was signed in with the old one
    is signed out when its access token expires.
    """
    once = password is None if must_change is None else must_change
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, USER, user)
        chosen = one_time_password() if password is None else check_password(password, row.user_principal_name)
        sign_in.set_password(opened.connection, tenant.id, row.id, chosen, must_change=once)
        after = {"password": "set", "forceChangePasswordNextSignIn": once}
        opened.audit("Set password", USER.kind, [event(row.id, row.user_principal_name, None, after)])
    item: Item = {
        "id": str(row.id),
        "userPrincipalName": row.user_principal_name,
        "forceChangePasswordNextSignIn": once,
    }
    return item if password is not None else {**item, "password": chosen}


def issue_token(
    database: Database, tenant: TenantRef, actor: str, permissions: Sequence[str], *, secrets: Secrets, base: str
) -> str:
    """An access token of the built-in command line, by itself, with exactly these permissions, for an hour.

    Names may be written as scopes (``https://graph.microsoft.com/CloudPC.Read.All``). `base`: the service's address.
    """
    names = []
    for given in permissions:
        name = known(given.rpartition("/")[2])
        if name is None or not PERMISSIONS[name].application:
            there = ", ".join(p.name for p in PERMISSIONS.values() if p.application)
            raise Refused("--scope", given, f"is no permission of an application; these are: {there}")
        names.append(name)
    app = apps.built_in(apps.COMMAND_LINE)
    assert app is not None
    token = tokens.issue(database, secrets, base=base, tenant=tenant.id, app=app, permissions=set(names))
    with database.begin() as connection:
        made = event(app.id, app.name, None, {"permissions": sorted(set(names))})
        audit.write(connection, tenant.id, actor, "Issue token", "application", [made])
    return token
