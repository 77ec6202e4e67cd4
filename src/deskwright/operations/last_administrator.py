"""An administrator does not lock the tenant up behind them: the last one keeps role and account.

Only their own hand is held. Somebody else, another administrator or the command line on the server, may do it.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.rules import Refused
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations.change import TenantRef

# Who administers the tenant and may sign in, guests among them.
_ADMINISTRATORS = text(
    """
    SELECT u.id, u.user_principal_name FROM users u WHERE u.deleted_at IS NULL AND u.account_enabled AND u.id IN (
      SELECT user_id FROM role_assignments WHERE tenant_id = :tenant AND role = :role
      UNION ALL SELECT user_id FROM guest_roles WHERE tenant_id = :tenant AND role = :role)
    """
)


def refuse_own(
    connection: Connection, tenant: TenantRef, actor: str, leaving: Collection[UUID], *, field: str = "role"
) -> None:
    """Refused where `actor` is among those who are to administer no more, and nobody would be left who does."""
    there = {
        row.id: row.user_principal_name
        for row in connection.execute(_ADMINISTRATORS, {"tenant": tenant.id, "role": ADMINISTRATOR})
    }
    going = there.keys() & set(leaving)
    own = next((there[user] for user in going if there[user].lower() == actor.lower()), None)
    if own is not None and going == there.keys():
        remedy = f"Give another person the role {ADMINISTRATOR} first"
        rule = f"is the last administrator of {tenant.name}; nobody could change anything any more"
        raise Refused(field, own, rule, code="notAllowed", remedy=remedy)
