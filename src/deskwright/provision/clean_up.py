"""Releasing what is no longer wanted, and letting a Cloud PC be gone when nothing of it runs any more (L2-L4)."""

import logging
from uuid import UUID

from sqlalchemy import text

from deskwright import jobs
from deskwright.domain.resources import RESOURCES, Kind
from deskwright.domain.status import Status
from deskwright.providers.contract import ProviderError
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.ledger import AT_ONCE, FILL_PRIORITY, FILL_SEATS
from deskwright.provision.sites import load_site
from deskwright.store.statements import ask, statement
from deskwright.store.status import NOW, move
from deskwright.store.touched import touch_users

log = logging.getLogger(__name__)

# A provider that refuses is asked again after a minute, then two, ... at most six hours (real and simulated alike).
_FIRST_RETRY, _LONGEST_RETRY = 60.0, 6 * 3600.0

# All of the Cloud PC's rows first, they are few: the index of what is due at all must not be read for one of them.
_DUE = statement(
    """
    WITH mine AS MATERIALIZED (SELECT * FROM ledger WHERE cloud_pc_id = :cloud_pc)
    SELECT id, kind, key, site_id FROM mine
     WHERE state IN ('intended', 'created') AND release_at <= tenant_now(tenant_id) ORDER BY id DESC
    """
)
_RELEASED = statement(
    "UPDATE ledger SET state = :state, released_at = tenant_now(tenant_id), release_at = NULL, last_error = NULL "
    "WHERE id = :id"
)
_REFUSED = statement(
    """
    UPDATE ledger SET release_attempts = release_attempts + 1, last_error = :error,
           release_at = tenant_now(tenant_id) + make_interval(secs => LEAST(:first * 2 ^ release_attempts, :longest))
     WHERE id = :id
    """
)
_LEFT = text(
    "SELECT count(*) FROM ledger WHERE cloud_pc_id = :cloud_pc AND state IN ('intended', 'created') "
    "AND kind = ANY(:kinds)"
)


def clean_up(world: World, cloud_pc: UUID) -> None:
    """Release what is due of one Cloud PC, newest first; a deprovisioning one is gone when its machine is."""
    release_due(world, cloud_pc)
    with world.database.begin() as connection:
        row = connection.execute(
            text("SELECT tenant_id, user_id, plan_id, status FROM cloud_pcs WHERE id = :id FOR NO KEY UPDATE"),
            {"id": cloud_pc},
        ).one_or_none()
        if row is None or row.status != Status.DEPROVISIONING:
            return
        if connection.execute(_LEFT, {"cloud_pc": cloud_pc, "kinds": AT_ONCE}).scalar_one():
            return  # its release was refused and comes again
        move(
            connection,
            [cloud_pc],
            Status.GONE,
            gone_at=NOW,
            power_state=None,
            grace_ends_at=None,
            waiting_for=None,
        )
        connection.execute(text("DELETE FROM sign_in_details WHERE cloud_pc_id = :id"), {"id": cloud_pc})
        connection.execute(text("DELETE FROM snapshots WHERE cloud_pc_id = :id"), {"id": cloud_pc})
        jobs.defer(connection, FILL_SEATS, [row.plan_id], priority=FILL_PRIORITY)
        # A policy may reach the pair now (E8).
        touch_users(connection, row.tenant_id, [row.user_id], {"actor": "deskwright", "activity": "Cloud PC is gone"})


def release_due(world: World, cloud_pc: UUID) -> None:
    """Ask the providers to release what is due. What is refused is noted and tried again later (L4)."""
    single = world.database.single
    for row in ask(single, _DUE, {"cloud_pc": cloud_pc}):
        resource = RESOURCES[Kind(row.kind)]
        try:
            site = load_site(world.database, row.site_id)
            providers_for(world.database, site).of(resource.provider).release(resource.kind, row.key)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the rest must still be released
            log.warning("release of %s refused: %s", row.key, failure)
            error = f"{failure.code}: {failure.values}" if isinstance(failure, ProviderError) else repr(failure)
            ask(
                single, _REFUSED, {"id": row.id, "error": error[:500], "first": _FIRST_RETRY, "longest": _LONGEST_RETRY}
            )
        else:
            ask(single, _RELEASED, {"id": row.id, "state": "disabled" if resource.disabled_only else "released"})
