"""People of the tenant's directory."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, func, select, text

from deskwright.domain.rules import Refused
from deskwright.identity import sign_in
from deskwright.identity.passwords import check_password
from deskwright.operations import last_administrator, named, synchronised
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item, Noun
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import users

_UPN = re.compile(r"[^\s@]+@[^\s@]+")


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "userPrincipalName": row.user_principal_name,
        "displayName": row.display_name,
        "accountEnabled": row.account_enabled,
        "onPremisesUserPrincipalName": row.on_premises_user_principal_name,
        "createdDateTime": row.created_at,
        "deletedDateTime": row.deleted_at,
        **({"mail": row.mail} if row.mail else {}),
        **row.profile,
    }


USER = Noun(
    "user", "user", users, "userPrincipalName", "user_principal_name", _present, "user", users.c.deleted_at.is_(None)
)
DELETED = Noun(
    "user",
    "deleted user",
    users,
    "userPrincipalName",
    "user_principal_name",
    _present,
    "user",
    users.c.deleted_at.is_not(None),
)

# What a domain says of its people: column -> property.
_FROM_DOMAIN = {
    "user_principal_name": "userPrincipalName",
    "display_name": "displayName",
    "account_enabled": "accountEnabled",
    "on_premises_user_principal_name": "onPremisesUserPrincipalName",
    "mail": "mail",
}
_GROUPS = text(
    """
    SELECT g.id, g.display_name AS "displayName" FROM memberships m JOIN groups g ON g.id = m.group_id
     WHERE m.tenant_id = :tenant AND m.user_id = :user ORDER BY lower(g.display_name)
    """
)
_LICENCES = text(
    """
    SELECT p.id AS "servicePlanId", p.display_name AS "servicePlanName",
           bool_or(held.via IS NULL) AS "assignedDirectly",
           array_agg(held.via ORDER BY held.via) FILTER (WHERE held.via IS NOT NULL) AS "assignedByGroups"
      FROM (SELECT plan_id, NULL AS via FROM license_users WHERE user_id = :user
            UNION ALL
            SELECT l.plan_id, g.display_name FROM memberships m JOIN license_groups l ON l.group_id = m.group_id
              JOIN groups g ON g.id = m.group_id WHERE m.user_id = :user) held
      JOIN service_plans p ON p.id = held.plan_id AND p.tenant_id = :tenant
     GROUP BY p.id, p.display_name ORDER BY p.display_name
    """
)
_CLOUD_PCS = text(
    """
    SELECT c.id, c.display_name AS "displayName", p.display_name AS "servicePlanName",
           c.policy_name AS "provisioningPolicyName", c.status
      FROM cloud_pcs c JOIN service_plans p ON p.id = c.plan_id
     WHERE c.tenant_id = :tenant AND c.user_id = :user AND c.status <> 'gone' ORDER BY p.display_name
    """
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    user_principal_name: str,
    display_name: str = "",
    account_enabled: bool = True,
    on_premises_user_principal_name: str | None = None,
    mail: str | None = None,
    profile: Mapping[str, Any] | None = None,
    password: str | None = None,
    must_change: bool = True,
    confirmed: bool = False,
) -> Item:
    """Add a person. Nobody is touched: without licence and group nothing is due.

    `profile`: properties that nothing here acts on, by the API's names. `must_change`: the password, at sign-in.
    """
    upn = _check_upn("userPrincipalName", user_principal_name)
    on_premises = on_premises_user_principal_name
    values = {
        "user_principal_name": upn,
        "display_name": named.check_name("displayName", display_name or upn.split("@", maxsplit=1)[0]),
        "account_enabled": account_enabled,
        "on_premises_user_principal_name": _check_upn("onPremisesUserPrincipalName", on_premises)
        if on_premises
        else None,
        "mail": mail or None,
        "profile": dict(profile or {}),
    }
    if password is not None:
        check_password(password, upn)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, USER, upn)
        row = named.create(opened, USER, **values)
        if password is not None:
            _set_password(opened, row, password, must_change)
        return _present(row)


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    user: str,
    *,
    user_principal_name: str | None = None,
    display_name: str | None = None,
    account_enabled: bool | None = None,
    on_premises_user_principal_name: str | None = None,
    mail: str | None = None,
    profile: Mapping[str, Any] | None = None,
    password: str | None = None,
    must_change: bool = True,
    confirmed: bool = False,
) -> Item:
    """Change what is given; of `profile` only the properties named.

    Disabling starts nothing new and takes nothing away (E1).
    """
    if user_principal_name is not None:
        user_principal_name = _check_upn("userPrincipalName", user_principal_name)
    if on_premises_user_principal_name:
        _check_upn("onPremisesUserPrincipalName", on_premises_user_principal_name)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, USER, user)
        synchronised.refuse_change(
            opened.connection,
            row,
            row.user_principal_name,
            _FROM_DOMAIN,
            user_principal_name=user_principal_name,
            display_name=display_name,
            account_enabled=account_enabled,
            on_premises_user_principal_name=on_premises_user_principal_name,
            mail=mail,
        )
        if user_principal_name is not None:
            named.refuse_taken(opened.connection, tenant, USER, user_principal_name, besides=row.id)
        if account_enabled is False:
            last_administrator.refuse_own(opened.connection, tenant, actor, [row.id], field="accountEnabled")
        after = named.modify(
            opened,
            USER,
            row,
            user_principal_name=user_principal_name,
            display_name=None if display_name is None else named.check_name("displayName", display_name),
            account_enabled=account_enabled,
            on_premises_user_principal_name=on_premises_user_principal_name,
            mail=mail,
            profile=None if profile is None else {**row.profile, **profile},
        )
        if password is not None:
            _set_password(opened, after, check_password(password, after.user_principal_name), must_change)
        if after.account_enabled != row.account_enabled:
            _touch(opened, after, "User enabled" if after.account_enabled else "User disabled")
        return _present(after)


def delete(database: Database, tenant: TenantRef, actor: str, user: str, *, confirmed: bool = False) -> Item:
    """Delete a person softly: memberships and licences stay, so that `restore` brings everything back."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, USER, user)
        synchronised.refuse(opened.connection, row, row.user_principal_name, "user")
        last_administrator.refuse_own(opened.connection, tenant, actor, [row.id], field="user")
        return _mark(opened, row, "tenant_now(:tenant)", "Delete user", "User deleted")


def restore(database: Database, tenant: TenantRef, actor: str, user: str, *, confirmed: bool = False) -> Item:
    """Bring a deleted person back, named by id or UPN (the one deleted last, where several had it)."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        c, wanted = users.c, named.as_id(user)
        same = func.lower(c.user_principal_name) == func.lower(user.strip()) if wanted is None else c.id == wanted
        query = select(users).where(DELETED.of(tenant), same).order_by(c.deleted_at.desc(), c.id).limit(1)
        row = opened.connection.execute(query).one_or_none()
        if row is None:
            raise DELETED.missing(user)
        synchronised.refuse(opened.connection, row, row.user_principal_name, "user")
        named.refuse_taken(opened.connection, tenant, USER, row.user_principal_name)
        return _mark(opened, row, "NULL", "Restore user", "User restored")


def list_(
    database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100, *, deleted: bool = False
) -> list[Item]:
    with database.single.connect() as connection:
        return [_present(row) for row in named.page(connection, tenant, DELETED if deleted else USER, after, limit)]


def show(database: Database, tenant: TenantRef, user: str, *, deleted: bool = False) -> Item:
    """A person with groups, licences (and where they come from) and Cloud PCs; with `deleted` also one that was."""
    with database.single.connect() as connection:
        gone = named.find(connection, tenant, DELETED, user) if deleted else None
        row = named.find(connection, tenant, USER, user) or gone
        if row is None:
            raise USER.missing(user)
        of = {"tenant": tenant.id, "user": row.id}
        return {
            **_present(row),
            "onPremisesDomainName": synchronised.domain_of(connection, row),
            "groups": [dict(g._mapping) for g in connection.execute(_GROUPS, of)],
            "licenses": [dict(p._mapping) for p in connection.execute(_LICENCES, of)],
            "cloudPCs": [dict(c._mapping) for c in connection.execute(_CLOUD_PCS, of)],
        }


def _mark(opened: Change, row: "Row[Any]", deleted_at: str, activity: str, happened: str) -> Item:
    query = f"UPDATE users SET deleted_at = {deleted_at} WHERE id = :user AND tenant_id = :tenant RETURNING *"
    after = opened.connection.execute(text(query), {"user": row.id, "tenant": opened.tenant.id}).one()
    before, now = _present(row), _present(after)
    opened.audit(activity, "user", [event(row.id, row.user_principal_name, before, now)])
    _touch(opened, row, happened)
    return now


def _set_password(opened: Change, row: "Row[Any]", password: str, must_change: bool) -> None:
    sign_in.set_password(opened.connection, row.tenant_id, row.id, password, must_change=must_change)
    after = {"password": "set", "forceChangePasswordNextSignIn": must_change}
    opened.audit("Set password", "user", [event(row.id, row.user_principal_name, None, after)])


def _touch(opened: Change, row: "Row[Any]", happened: str) -> None:
    opened.touch("SELECT CAST(:user AS uuid)", happened, row.user_principal_name, user=row.id)


def _check_upn(field: str, value: str) -> str:
    value = named.check_name(field, value, longest=113)
    if not _UPN.fullmatch(value):
        raise Refused(field, value, "must look like name@domain, without blanks")
    return value
