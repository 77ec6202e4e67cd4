"""References to objects in bodies: ``"@odata.id": "https://host/v1.0/directoryObjects/{id}"`` in its several forms."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from sqlalchemy import select

from deskwright.graph.call import Call
from deskwright.graph.errors import GraphError, bad
from deskwright.operations.named import as_id
from deskwright.store.tables import groups, users

MOST = 20
"""References in one `members@odata.bind`, as on Graph."""
_SETS = ("directoryobjects", "users", "groups", "devices", "serviceprincipals")
_PATH = re.compile(r"(?:^|/)(\w+)(?:/([^/()]+)|\('([^/()']+)'\))/?(?:microsoft\.[\w.]+)?$", re.IGNORECASE)


def referred(address: Any, name: str) -> UUID:
    """The id that a reference names: absolute or relative, ``/directoryObjects/{id}``, ``/users('{id}')`` or bare."""
    if not isinstance(address, str) or len(address) > 2000:
        raise bad(f"'{name}' must be the address of an object, such as …/directoryObjects/{{id}}.", name)
    bare = as_id(address)
    if bare is not None:
        return bare
    found = _PATH.search(unquote(urlsplit(address).path))
    key = as_id(found.group(2) or found.group(3)) if found and found.group(1).lower() in _SETS else None
    if key is None:
        raise bad(f"'{address[:100]}' in '{name}' does not name an object as …/directoryObjects/{{id}} does.", name)
    return key


def people(call: Call, name: str) -> list[str]:
    """Whom the body's member `name`, a list of references, names; none where it is not there."""
    given = call.fields.get(name.lower())
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MOST:
        raise bad(f"'{name}' must be a list of at most {MOST} references.", name)
    return must_be_people(call, [referred(address, name) for address in given], name)


def must_be_people(call: Call, ids: Sequence[UUID], name: str) -> list[str]:
    """The ids as texts. Raises 400 for a group, and for what does not exist in this tenant."""
    with call.reading() as connection:
        alive = users.c.tenant_id == call.tenant.id, users.c.deleted_at.is_(None), users.c.id.in_(ids)
        known = set(connection.execute(select(users.c.id).where(*alive)).scalars())
        missing = next((i for i in ids if i not in known), None)
        if missing is None:
            return [str(i) for i in ids]
        of = groups.c.tenant_id == call.tenant.id, groups.c.id == missing
        nested = connection.execute(select(groups.c.display_name).where(*of)).scalar_one_or_none()
    if nested is not None:
        raise bad(f"Members are people: group '{nested}' cannot be in a group, nested groups would not count.", name)
    raise GraphError(400, "BadRequest", f"Resource '{missing}' in '{name}' does not exist in this tenant.", target=name)
