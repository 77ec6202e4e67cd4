"""Changing a tenant: one transaction that counts the revision, writes the audit, marks who is touched, and brakes.

Every administrative change happens inside `change(...)`. What is decided about the touched users is not decided
here: reconcile does that after the commit. Only the safety brake (R13) looks ahead, by the same verdicts.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.decide.entitlement import decide
from deskwright.decide.verdict import Verdict
from deskwright.domain.rules import ConfirmationRequired
from deskwright.reconcile import facts
from deskwright.settings import TenantSettings
from deskwright.store import audit
from deskwright.store.database import Database
from deskwright.store.touched import touch

_ASSESS_CHUNK = 2000


@dataclass(frozen=True)
class TenantRef:
    """The tenant a call is about; every query of it carries the id."""

    id: UUID
    name: str


@dataclass
class Change:
    """An open change of a tenant."""

    connection: Connection
    tenant: TenantRef
    actor: str
    touched_before: int
    changed: int = 0
    _activities: list[str] = field(default_factory=list)

    def audit(self, activity: str, object_type: str, events: Iterable[dict[str, Any]]) -> None:
        """Write down changed objects (store.audit.event); a change that audits nothing changes nothing."""
        listed = list(events)
        self.changed += len(listed)
        self._activities.append(activity)
        audit.write(self.connection, self.tenant.id, self.actor, activity, object_type, listed)

    def touch(self, selection: str, activity: str, subject: str = "", **values: Any) -> int:
        """Mark the users that the query `selection` gives (one column, user ids) for reconcile.

        `activity` and `subject` say what happened to what; they become the reason of a grace period.
        """
        cause = {"actor": self.actor, "activity": activity, "object": subject}
        return touch(self.connection, self.tenant.id, selection, cause, **values)

    def touched(self) -> list[UUID]:
        """Everyone this change has marked so far."""
        query = text("SELECT DISTINCT user_id FROM touched_users WHERE tenant_id = :tenant AND number > :before")
        return list(self.connection.execute(query, {"tenant": self.tenant.id, "before": self.touched_before}).scalars())

    def verdicts(self) -> Iterator[Verdict]:
        """What reconcile will do about them once this commits; in chunks, so that memory stays bounded."""
        users = self.touched()
        for start in range(0, len(users), _ASSESS_CHUNK):
            loaded = facts.load(self.connection, self.tenant.id, users[start : start + _ASSESS_CHUNK])
            for user in loaded.values():
                yield from decide(user)


@contextmanager
def change(
    database: Database, tenant: TenantRef, actor: str, *, confirmed: bool = False, dry_run: bool = False
) -> Iterator[Change]:
    """A transaction on the tenant. Raises ConfirmationRequired (changing nothing) where the brake stops it.

    `dry_run` does everything and then takes it back: how `plan` knows exactly what `apply` would do.
    """
    with database.engine.connect() as connection:
        # Administrative changes of a tenant happen one after the other; reconcile and runs do not wait for them.
        connection.execute(text("SELECT id FROM tenants WHERE id = :id FOR NO KEY UPDATE"), {"id": tenant.id})
        # A large document is thought about for longer than a worker's transactions may stand still.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10min'"))
        before = connection.execute(text("SELECT COALESCE(max(number), 0) FROM touched_users")).scalar_one()
        opened = Change(connection, tenant, actor, before)
        yield opened
        if dry_run:
            connection.rollback()
            return
        if not confirmed:
            brake(opened)
        if opened.changed:
            connection.execute(text("UPDATE tenants SET revision = revision + 1 WHERE id = :id"), {"id": tenant.id})
        connection.commit()


def brake(opened: Change) -> None:
    """R13: more than so many people, and more than such a share of all with one, would lose their Cloud PC."""
    connection, tenant = opened.connection, opened.tenant
    limits = TenantSettings(**_settings(connection, tenant.id))
    at_stake = text(
        """
        SELECT count(DISTINCT c.user_id) FROM touched_users t JOIN cloud_pcs c ON c.user_id = t.user_id
         WHERE t.tenant_id = :tenant AND t.number > :before
           AND c.status NOT IN ('gone', 'notProvisioned', 'pendingProvision')
        """
    )
    values = {"tenant": tenant.id, "before": opened.touched_before}
    if connection.execute(at_stake, values).scalar_one() <= limits.brakePeople:
        return
    losing = {v.user_id for v in opened.verdicts() if v.loses}
    if len(losing) <= limits.brakePeople:
        return
    everyone = text(
        "SELECT count(DISTINCT user_id) FROM cloud_pcs WHERE tenant_id = :tenant "
        "AND status NOT IN ('gone', 'notProvisioned', 'pendingProvision', 'deprovisioning')"
    )
    of = connection.execute(everyone, values).scalar_one()
    if len(losing) <= limits.brakeShare * of:
        return
    names = text("SELECT user_principal_name FROM users WHERE id = ANY(:users) ORDER BY 1 LIMIT 50")
    who = list(connection.execute(names, {"users": list(losing)}).scalars())
    rule = f"more than {limits.brakePeople} and more than {limits.brakeShare:.0%} wants a confirmation"
    raise ConfirmationRequired(len(losing), of, who, rule)


def _settings(connection: Connection, tenant: UUID) -> Mapping[str, Any]:
    found: Mapping[str, Any] = connection.execute(
        text("SELECT settings FROM tenants WHERE id = :id"), {"id": tenant}
    ).scalar_one()
    return found
