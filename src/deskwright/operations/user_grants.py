"""What people may do to their own Cloud PC without a role: the user setting that wins for them says so."""

from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.operations.change import TenantRef

# On conflict the most recently created user setting wins (the opposite of policies).
_GRANTS = text(
    """
    SELECT s.reset_enabled, s.restore_enabled FROM memberships m
      JOIN user_setting_assignments a ON a.group_id = m.group_id
      JOIN user_settings s ON s.id = a.setting_id
     WHERE m.user_id = :user AND m.tenant_id = :tenant ORDER BY s.number DESC LIMIT 1
    """
)


def grants_of(connection: Connection, tenant: TenantRef, user: UUID) -> dict[str, bool]:
    """``resetEnabled`` and ``userRestoreEnabled`` of the user setting that counts for `user`; without one, neither."""
    row = connection.execute(_GRANTS, {"user": user, "tenant": tenant.id}).one_or_none()
    return {
        "resetEnabled": row is not None and row.reset_enabled,
        "userRestoreEnabled": row is not None and row.restore_enabled,
    }
