"""The one who calls, as everything behind the door sees them."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Caller:
    """Who calls: an application by itself, or a person through one. Always inside one tenant."""

    tenant_id: UUID
    tenant_name: str
    actor: str
    """For the audit log: the person's UPN, or the application's display name."""
    app_id: UUID
    app_name: str
    user_id: UUID | None
    """None: the application by itself."""
    user_principal_name: str | None
    permissions: frozenset[str]
    """Granted application permissions, or delegated scopes; names of `permissions.PERMISSIONS`."""
    roles: frozenset[str]
    """Names of the directory roles the person holds, such as ``Cloud PC Administrator``; none for an application."""

    @property
    def delegated(self) -> bool:
        return self.user_id is not None
