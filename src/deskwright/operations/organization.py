"""The organization's settings: what new policies and Cloud PCs take where nothing else says so.

`userAccountType` is used where neither the run, a user setting nor the policy decides; `windowsSettings.language` is
the locale of policies that name none. The rest is kept and told again: a policy's own single sign-on flag counts, every
Cloud PC is enrolled, and its operating system is its image's.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from deskwright.domain.rules import Refused
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.policy_ground import check_locale
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import tenants

LANGUAGE = "en-US"
_DEFAULTS: Mapping[str, Any] = {
    "enableMEMAutoEnroll": True,
    "enableSingleSignOn": False,
    "osVersion": "windows11",
    "userAccountType": "standardUser",
    "windowsSettings": {"language": LANGUAGE},
}
_CHOICES = {"userAccountType": ("standardUser", "administrator"), "osVersion": ("windows10", "windows11")}


def get(database: Database, tenant: TenantRef) -> Item:
    """Every setting with the value that counts."""
    with database.single.connect() as connection:
        return {"id": str(tenant.id), **_DEFAULTS, **_given(connection, tenant)}


def set_(
    database: Database, tenant: TenantRef, actor: str, changes: Mapping[str, Any], *, confirmed: bool = False
) -> Item:
    """Change settings; None puts one back to its default."""
    for name, value in changes.items():
        if name not in _DEFAULTS:
            raise Refused(name, value, f"is no setting of an organization; there are: {', '.join(_DEFAULTS)}")
        if value is not None and name in _CHOICES and value not in _CHOICES[name]:
            raise Refused(name, value, f"must be one of: {', '.join(_CHOICES[name])}")
    if changes.get("windowsSettings") is not None:
        check_locale(changes["windowsSettings"].get("language") or LANGUAGE)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        before = _given(opened.connection, tenant)
        after = {name: value for name, value in {**before, **changes}.items() if value is not None}
        if after != before:
            query = update(tenants).where(tenants.c.id == tenant.id).values(organization_settings=after)
            opened.connection.execute(query)
            differs = [name for name in _DEFAULTS if before.get(name) != after.get(name)]
            old, new = ({name: side.get(name, _DEFAULTS[name]) for name in differs} for side in (before, after))
            opened.audit(
                "Update organization settings", "organizationSettings", [event(tenant.id, tenant.name, old, new)]
            )
        return {"id": str(tenant.id), **_DEFAULTS, **after}


def language(connection: Connection, tenant: TenantRef) -> str:
    """The locale of a policy that names none."""
    settings = {**_DEFAULTS, **_given(connection, tenant)}["windowsSettings"]
    return str(settings.get("language") or LANGUAGE)


def _given(connection: Connection, tenant: TenantRef) -> dict[str, Any]:
    query = select(tenants.c.organization_settings).where(tenants.c.id == tenant.id)
    return dict(connection.execute(query).scalar_one())
