"""The records themselves: device objects and managed devices, found by their keys."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Found, Made
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.statements import ask, ask_one, statement

_MAKE = statement(
    """
    INSERT INTO builtin.objects AS o (key, tenant_id, site_id, kind, name, data)
    VALUES (:key, :tenant, :site, :kind, :name, CAST(:data AS jsonb))
    ON CONFLICT (key) DO UPDATE SET data = o.data || excluded.data WHERE o.tenant_id = excluded.tenant_id
    RETURNING external_id, data
    """
)
_DESCRIBE = statement(
    """
    UPDATE builtin.objects SET data = data || CAST(:data AS jsonb)
     WHERE tenant_id = :tenant AND site_id = :site AND kind = :kind AND external_id = :id RETURNING external_id
    """
)
_FIND = statement(
    "SELECT external_id, name, data FROM builtin.objects "
    "WHERE tenant_id = :tenant AND site_id = :site AND kind = :kind AND external_id = :id"
)
_DELETE = statement("DELETE FROM builtin.objects WHERE tenant_id = :tenant AND site_id = :site AND key = :key")
_LIST = statement(
    "SELECT key, external_id, name FROM builtin.objects "
    "WHERE tenant_id = :tenant AND site_id = :site AND kind = :kind ORDER BY made_at"
)


class ObjectRecords:
    """One kind of object of one site."""

    def __init__(self, database: Database, site: Site, kind: Kind) -> None:
        self._engine, self._kind = database.single, kind
        self._own = {"tenant": site.tenant_id, "site": site.id, "kind": str(kind)}

    def make(self, key: str, name: str, data: Mapping[str, Any]) -> Made:
        (row,) = ask(self._engine, _MAKE, {**self._own, "key": key, "name": name, "data": json.dumps(dict(data))})
        return Made(str(row.external_id), row.data)

    def describe(self, external_id: str, data: Mapping[str, Any]) -> bool:
        """Whether there is one."""
        values = {**self._own, "id": _uuid(external_id), "data": json.dumps(dict(data))}
        return ask_one(self._engine, _DESCRIBE, values) is not None

    def find(self, external_id: str) -> Mapping[str, Any] | None:
        row = ask_one(self._engine, _FIND, {**self._own, "id": _uuid(external_id)})
        return None if row is None else {"name": row.name, **row.data}

    def delete(self, key: str) -> None:
        ask(self._engine, _DELETE, {**self._own, "key": key})

    def inventory(self) -> Iterator[Found]:
        for row in ask(self._engine, _LIST, self._own):
            yield Found(str(self._kind), row.key, str(row.external_id), row.name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
