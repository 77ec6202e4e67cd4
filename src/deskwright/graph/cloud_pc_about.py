"""What is told of a Cloud PC and lives in other tables: its devices, how it was made, what was found, what was done.

Each part is SQL beside a row of `cloud_pcs`. One Cloud PC is read with its parts in one statement; a page is read
first, and then the parts of its rows: a list that has to be sorted would otherwise look them up for every row.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    select,
    text,
    true,
)

from deskwright.graph.call import Call
from deskwright.operations import remote_actions
from deskwright.operations.remote_action_results import ACTIONS
from deskwright.store.tables import cloud_pcs

_ACTIONS = ", ".join(f"'{kind}'" for kind in ACTIONS)
_PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "devices": (
        """
        SELECT (array_agg(external_id ORDER BY id DESC) FILTER (WHERE kind = 'device'))[1] AS device,
               (array_agg(external_id ORDER BY id DESC) FILTER (WHERE kind = 'managedDevice'))[1] AS managed_device
          FROM ledger WHERE cloud_pc_id = cloud_pcs.id AND kind IN ('device', 'managedDevice')
           AND state = 'created' AND release_at IS NULL AND external_id IS NOT NULL
        """,
        {"device": Text, "managed_device": Text},
    ),
    # By the run that made the machine, or is making it.
    "made": (
        """
        SELECT policy ->> 'join_type' AS join_type, CAST(policy ->> 'single_sign_on' AS boolean) AS single_sign_on
          FROM runs WHERE cloud_pc_id = cloud_pcs.id AND kind IN ('provision', 'reprovision')
         ORDER BY number DESC LIMIT 1
        """,
        {"join_type": Text, "single_sign_on": Boolean},
    ),
    "walked": (
        """
        SELECT s.outcome, s.message, s.ended_at FROM runs r JOIN steps s ON s.run_id = r.id
         WHERE r.cloud_pc_id = cloud_pcs.id AND s.step = 'A0' AND s.ended_at IS NOT NULL
         ORDER BY s.ended_at DESC LIMIT 1
        """,
        {"outcome": Text, "message": Text, "ended_at": DateTime(timezone=True)},
    ),
    "account": (
        f"SELECT CAST({remote_actions.ADMINISTRATOR} AS boolean) AS administrator",
        {"administrator": Boolean},
    ),
    "acted": (
        f"SELECT EXISTS (SELECT FROM runs WHERE cloud_pc_id = cloud_pcs.id AND kind IN ({_ACTIONS})) AS acted",
        {"acted": Boolean},
    ),
}
_HOW_MADE = ("connectionSetting", "connectionSettings", "provisioningConfiguration")


def asked(call: Call) -> frozenset[str]:
    """The parts that the call's answer needs."""
    wants = call.options.wants
    found = {"devices"} if wants("aadDeviceId") or wants("managedDeviceId") else set()
    if call.model.version == "beta":  # v1.0 knows none of these
        found |= {"made"} if any(map(wants, _HOW_MADE)) else set()
        found |= {"walked"} if wants("connectivityResult") else set()
        found |= {"account"} if wants("userAccountType") else set()
        found |= {"acted"} if wants("lastRemoteActionResult") else set()
    return frozenset(found)


def beside(joined: Any, parts: Collection[str]) -> tuple[Any, list["ColumnElement[Any]"]]:
    """`joined` with those parts beside it, and their columns."""
    columns: list[ColumnElement[Any]] = []
    for name in sorted(parts):
        sql, types = _PARTS[name]
        part = text(sql).columns(**types).lateral(f"about_{name}")
        joined = joined.outerjoin(part, true())
        columns += part.c
    return joined, columns


def brought(row: "Row[Any]", parts: Collection[str]) -> bool:
    """Whether the row was read with those parts beside it."""
    return all(next(iter(_PARTS[name][1])) in row._fields for name in parts)


def of_page(connection: Connection, parts: frozenset[str], ids: Sequence[UUID]) -> "dict[UUID, Row[Any]]":
    """Those parts of each of these Cloud PCs."""
    return {row.id: row for row in connection.execute(_of_page(parts), {"ids": list(ids)})}


@lru_cache(maxsize=64)
def _of_page(parts: frozenset[str]) -> "Select[Any]":
    joined, columns = beside(cloud_pcs, parts)
    ids = bindparam("ids", type_=ARRAY(Uuid))
    return select(cloud_pcs.c.id, *columns).select_from(joined).where(cloud_pcs.c.id == any_(ids))
