"""What a bulk action would do to each Cloud PC, told before it begins.

Nothing is guessed: the same operations are carried out, one by one, each in a transaction that is taken back. So what
they refuse here they would refuse then, in the same words.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, text

from deskwright import errors
from deskwright.domain.rules import Refused
from deskwright.domain.status import USABLE
from deskwright.operations import connections, named
from deskwright.operations.bulk_actions import EVERY_KIND
from deskwright.operations.change import TenantRef
from deskwright.operations.licenses import PLAN
from deskwright.providers.contract import ProviderError
from deskwright.provision.context import World
from deskwright.store.database import Database

MOST = 1000
"""Cloud PCs in one preview."""
LOSES_DATA = frozenset({"cloudPcBulkReprovision", "endGrace", "cloudPcBulkRestore"})
NEEDS_ADDRESS = frozenset({"cloudPcBulkReprovision", "retry"})
_SHOWN = 20

_ROWS = text(
    """
    SELECT c.id, c.status, COALESCE(c.device_name, c.display_name) AS name, u.user_principal_name
      FROM cloud_pcs c JOIN users u ON u.id = c.user_id
     WHERE c.tenant_id = :tenant AND c.id = ANY(:ids) AND c.status <> 'gone'
     ORDER BY lower(u.user_principal_name), c.id
    """
)
# The connection that each would use now: its policy's first healthy one.
_CONNECTIONS = text(
    """
    SELECT k.id, k.display_name, count(*) AS n FROM cloud_pcs c
      JOIN LATERAL (SELECT k.id, k.display_name FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id
                     WHERE pc.policy_id = c.policy_id AND k.health_status IN ('passed', 'warning')
                     ORDER BY pc.position LIMIT 1) k ON true
     WHERE c.tenant_id = :tenant AND c.id = ANY(:ids) GROUP BY 1, 2 ORDER BY 2
    """
)


@dataclass(frozen=True)
class Refusal:
    """A rule that keeps some of them out."""

    reason: str
    remedy: str
    count: int
    some: Sequence[tuple[str, str]]
    """(id, user name) of the first twenty."""


@dataclass(frozen=True)
class Shortage:
    """Seats or addresses that the action needs, and how many are free."""

    what: str
    needed: int
    free: int

    @property
    def short(self) -> bool:
        return self.free < self.needed


@dataclass(frozen=True)
class Preview:
    statuses: Mapping[str, int]
    """Of all that were chosen: status -> how many."""
    accepted: Sequence[str]
    """Ids of those it would be done to."""
    refused: Sequence[Refusal]
    needs: Sequence[Shortage]
    losing: int = 0
    """Of the accepted ones, how many hold data of their user that is lost."""

    @property
    def chosen(self) -> int:
        return sum(self.statuses.values())


def preview(
    world: World, tenant: TenantRef, actor: str, *, kind: str, cloud_pc_ids: Sequence[str], options: Mapping[str, Any]
) -> Preview:
    """Changes nothing. Refused for an unknown kind, a missing option, more than `MOST`; unknown ids are left out."""
    if kind not in EVERY_KIND:
        raise Refused("kind", kind[:60], f"must be one of {', '.join(EVERY_KIND)}")
    for option in EVERY_KIND[kind].needs:
        if not options.get(option):
            raise Refused(option, None, "must be given")
    ids = {found for given in cloud_pc_ids if (found := named.as_id(given)) is not None}
    if not 1 <= len(ids) <= MOST:
        raise Refused("cloudPcIds", len(ids), f"must be 1 to {MOST:,} Cloud PCs")
    with world.database.single.connect() as connection:
        rows = connection.execute(_ROWS, {"tenant": tenant.id, "ids": list(ids)}).all()
    rehearsed = replace(world, database=_Rehearsal(world.database))
    accepted: list[str] = []
    losing = 0
    refused: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in rows:
        try:
            EVERY_KIND[kind].does(rehearsed, tenant, actor, str(row.id), options)
        except Refused as refusal:
            refused.setdefault(_reason(refusal, row), []).append((str(row.id), row.user_principal_name))
        except ProviderError as failed:
            said = errors.explain(failed.code, failed.values).message
            refused.setdefault((said, ""), []).append((str(row.id), row.user_principal_name))
        else:
            accepted.append(str(row.id))
            losing += kind in LOSES_DATA and row.status in USABLE
    told = [Refusal(reason, remedy, len(who), who[:_SHOWN]) for (reason, remedy), who in refused.items()]
    told.sort(key=lambda refusal: -refusal.count)
    needs = _needs(world, tenant, kind, accepted, options)
    return Preview(Counter(row.status for row in rows), accepted, told, needs, losing)


def _reason(refused: Refused, row: Row[Any]) -> tuple[str, str]:
    """The rule and the way out, without whom it is about, so that the same reasons fall together."""
    cloud_pc = str(row.id)
    named_one = refused.value not in (None, "", cloud_pc, row.user_principal_name)
    said = f"“{refused.value}” {refused.rule}" if named_one else refused.rule
    remedy = "" if cloud_pc in refused.remedy else refused.remedy
    return said.replace(row.user_principal_name, "the user"), remedy


def _needs(
    world: World, tenant: TenantRef, kind: str, accepted: Sequence[str], options: Mapping[str, Any]
) -> list[Shortage]:
    if not accepted:
        return []
    needed: list[tuple[str, str, int]] = []
    with world.database.single.connect() as connection:
        if kind == "cloudPcBulkResize":
            plan = named.one(connection, tenant, PLAN, str(options["targetServicePlanId"]))
            return [Shortage(f"seats of {plan.display_name}", len(accepted), max(plan.seats - plan.seats_used, 0))]
        if kind in NEEDS_ADDRESS:
            values = {"tenant": tenant.id, "ids": [named.as_id(i) for i in accepted]}
            needed = [(str(k.id), k.display_name, k.n) for k in connection.execute(_CONNECTIONS, values)]
    found = []
    for connection_id, name, count in needed:
        free = connections.free_addresses(world.database, tenant, connection_id)
        if free is None:
            continue
        found.append(Shortage(f"addresses of {name}", count, free))
    return found


class _Rehearsal(Database):
    """The same database; but its transactions are taken back."""

    def __init__(self, real: Database) -> None:
        self.__dict__.update(real.__dict__)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection
            connection.rollback()
