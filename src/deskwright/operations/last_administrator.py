"""An administrator does not lock the tenant up behind them: the last one keeps role and account.

Only their own hand is held. Somebody else, another administrator or the command line on the server, may do it. Who
administers through a group counts as much as who does by themselves.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.rules import Refused
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations.change import TenantRef

# Who administers the tenant and may sign in, guests among them.
_ADMINISTRATORS = text(
    """
    SELECT u.id, u.user_principal_name FROM users u WHERE u.deleted_at IS NULL AND u.account_enabled
       AND u.id IN (SELECT user_id FROM held_roles WHERE tenant_id = :tenant AND role = :role)
    """
)


def refuse_own(
    connection: Connection, tenant: TenantRef, actor: str, leaving: Collection[UUID], *, field: str = "role"
) -> None:
    """Refused where `actor` is among those whose account is to end, and nobody would be left who administers."""
    there = _administrators(connection, tenant)
    going = there.keys() & set(leaving)
    own = next((there[user] for user in going if there[user].lower() == actor.lower()), None)
    if own is not None and going == there.keys():
        _refuse(tenant, own, field)


@contextmanager
def kept(connection: Connection, tenant: TenantRef, actor: str, *, field: str = "role") -> Iterator[None]:
    """Around what takes roles, groups or members away: Refused after it where `actor` was an administrator, and nobody
    is left. The open transaction then is not to be committed, which leaving `change` by an exception sees to."""
    before = _administrators(connection, tenant)
    yield
    own = next((name for name in before.values() if name.lower() == actor.lower()), None)
    if own is not None and not _administrators(connection, tenant):
        _refuse(tenant, own, field)


def _administrators(connection: Connection, tenant: TenantRef) -> dict[UUID, str]:
    found = connection.execute(_ADMINISTRATORS, {"tenant": tenant.id, "role": ADMINISTRATOR})
    return {row.id: row.user_principal_name for row in found}


def _refuse(tenant: TenantRef, own: str, field: str) -> NoReturn:
    remedy = f"Give another person the role {ADMINISTRATOR} first"
    rule = f"is the last administrator of {tenant.name}; nobody could change anything any more"
    raise Refused(field, own, rule, code="notAllowed", remedy=remedy)
