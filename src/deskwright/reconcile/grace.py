"""The end of grace: by its deadline, or because an administrator says so (E8)."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.status import Status
from deskwright.provision.ledger import schedule_release
from deskwright.settings import TenantSettings
from deskwright.store.database import Database
from deskwright.store.status import move

_EXPIRED = text(
    """
    SELECT c.id, t.settings FROM cloud_pcs c JOIN tenants t ON t.id = c.tenant_id
     WHERE c.id = :id AND c.status = 'inGracePeriod' AND c.grace_ends_at <= tenant_now(t.id) FOR NO KEY UPDATE OF c
    """
)


def end_if_expired(database: Database, cloud_pc: UUID) -> None:
    """The job of the deadline. It may have been kept or won back meanwhile: then nothing happens."""
    with database.begin() as connection:
        row = connection.execute(_EXPIRED, {"id": cloud_pc}).one_or_none()
        if row is not None:
            deprovision(connection, [row.id], TenantSettings(**row.settings), why="grace period expired")


def deprovision(
    connection: Connection,
    cloud_pcs: Sequence[UUID],
    settings: TenantSettings,
    *,
    why: str,
    actor: str = "deskwright",
) -> set[UUID]:
    """Remove Cloud PCs whose grace is over: machine and disk now, the rest after the delay. Returns those that were."""
    moved = move(connection, cloud_pcs, Status.DEPROVISIONING, actor=actor, why=why, grace_ends_at=None)
    if moved:
        stop_repairs(connection, moved)
        schedule_release(connection, sorted(moved), delay_seconds=settings.cleanUpDelayInHours * 3600)
    return moved


def stop_repairs(connection: Connection, cloud_pcs: Iterable[UUID]) -> None:
    """A repair under way has nothing left to repair; its lease ends with it."""
    connection.execute(
        text(
            "UPDATE runs SET state = 'stopped', lease = lease + 1, ended_at = tenant_now(tenant_id), wake_at = NULL "
            "WHERE cloud_pc_id = ANY(:ids) AND state = 'active'"
        ),
        {"ids": list(cloud_pcs)},
    )
