"""Whose Cloud PCs a call is about: the tenant's, those of one user, or one's own.

The same calls are there three times: below ``virtualEndpoint`` for administrators, below ``users/{id}`` and below
``me``. What Windows 365 lets its users do to their own Cloud PC, a person may do here without a role.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select

from deskwright.graph.access import READ, WRITE
from deskwright.graph.call import Call
from deskwright.graph.cloud_pc import of_user, rows
from deskwright.graph.contract import VERSIONS, model
from deskwright.graph.errors import GraphError, not_found
from deskwright.graph.routes import Access, serves
from deskwright.identity.permissions import satisfies
from deskwright.operations.named import as_id
from deskwright.store.tables import cloud_pcs, users

TENANT, USER, ME = "/deviceManagement/virtualEndpoint/cloudPCs", "/users/{id}/cloudPCs", "/me/cloudPCs"


@dataclass(frozen=True)
class Reach:
    """What a caller reaches by the path they took."""

    user_id: UUID | None
    """Only this person's Cloud PCs; None: the tenant's."""
    as_owner: bool
    """A person without a role that would allow it: what the user setting does not grant is refused."""


Handler = Callable[[Call, Reach], Any]


def serves_cloud_pcs(
    method: str,
    below: str,
    *,
    owner: bool,
    returns: str | None = None,
    body: str | None = None,
    writes: bool | None = None,
    delegated_only: bool = False,
    extra: bool = False,
) -> Callable[[Handler], Handler]:
    """Register the decorated function for `below` in each of the three places.

    `owner`: people may do it to their own Cloud PC without a role. `delegated_only`: applications may not do it, and
    people without a role may do it in the tenant's place too, to their own.
    """
    changes = method != "GET" if writes is None else writes
    needed = WRITE if changes else READ

    def register(function: Handler) -> Handler:
        for base in (TENANT, USER, ME):
            own = owner and (base != TENANT or delegated_only)
            access = Access(needed.scopes, own=own, delegated_only=delegated_only or base == ME)
            versions = VERSIONS if extra else tuple(v for v in VERSIONS if _known(v, method, USER + below))
            serves(
                method,
                base + below,
                access,
                body=body,
                returns=returns,
                versions=versions,
                writes=changes,
                extra=extra or base == ME,
            )(_bound(function, base, needed, changes))
        return function

    return register


def _bound(function: Handler, base: str, needed: Access, writes: bool) -> Callable[[Call], Any]:
    @wraps(function)
    def serve(call: Call) -> Any:
        as_owner = not satisfies(call.caller, needed.scopes, writes=writes)
        if base == TENANT:
            return function(call, Reach(call.caller.user_id if as_owner else None, as_owner))
        user = call.caller.user_id if base == ME else _user(call)
        if as_owner and user != call.caller.user_id:
            raise GraphError(403, "Forbidden", "Without a Cloud PC role, a person reaches only their own Cloud PCs.")
        return function(call, Reach(user, as_owner))

    return serve


def one_of(call: Call, reach: Reach) -> "Row[Any]":
    """The Cloud PC that the last key of the path names: its row. Raises 404 where the caller reaches none."""
    key = call.key("Cloud PC")
    query = rows(call).where(cloud_pcs.c.id == key)
    if reach.user_id is not None:
        query = query.where(of_user(reach.user_id))
    with call.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise not_found("Cloud PC", key)
    return row


def _user(call: Call) -> UUID:
    """The user of ``users/{id}``, an id or a UPN; one who was deleted is not there."""
    name, u = call.keys[0], users.c
    same = [func.lower(u.user_principal_name) == func.lower(name)]
    if as_id(name) is not None:
        same = [u.id == as_id(name)]
    query = select(u.id).where(u.tenant_id == call.tenant.id, u.deleted_at.is_(None), or_(*same))
    with call.reading() as connection:
        found: UUID | None = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise not_found("user", name)
    return found


def _known(version: str, method: str, path: str) -> bool:
    return (method, path.lower()) in _calls(version)


@cache
def _calls(version: str) -> frozenset[tuple[str, str]]:
    """The contract's calls, functions without brackets, in lower case."""
    return frozenset((o.method, re.sub(r"\([^/]*\)", "", o.path).lower()) for o in model(version).operations)
