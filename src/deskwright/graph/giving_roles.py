"""What amounts to giving a role: resetting the password of who holds one, and putting people into a group that does.

Whoever could do either, but could not give the role, would get it all the same.
"""

from uuid import UUID

from sqlalchemy import TextClause, text

from deskwright.graph.access import ROLES_WRITE
from deskwright.graph.call import Call
from deskwright.graph.errors import GraphError
from deskwright.identity.permissions import satisfies

_OF_PERSON = text("SELECT DISTINCT role FROM held_roles WHERE tenant_id = :tenant AND user_id = :id ORDER BY role")
_OF_GROUP = text("SELECT role FROM role_groups WHERE tenant_id = :tenant AND group_id = :id ORDER BY role")


def must_be_able_to_give_those_of_person(call: Call, person: UUID) -> None:
    """Refused where the person holds a role that the caller could not give."""
    if not _may_give(call) and (held := _roles(call, _OF_PERSON, person)):
        raise _refusal(f"The user holds the role {held}: to change how they sign in, or to delete them")


def must_be_able_to_give_those_of_group(call: Call, group: UUID) -> None:
    """Refused where the group's members hold a role that the caller could not give."""
    if not _may_give(call) and (held := _roles(call, _OF_GROUP, group)):
        raise _refusal(f"The members of this group hold the role {held}: to change who they are")


def _may_give(call: Call) -> bool:
    return satisfies(call.caller, ROLES_WRITE.scopes, writes=True)


def _roles(call: Call, query: TextClause, id_: UUID) -> str:
    with call.reading() as connection:
        return " and ".join(connection.execute(query, {"tenant": call.tenant.id, "id": id_}).scalars())


def _refusal(why: str) -> GraphError:
    said = f"{why}, this call needs the permission {' or '.join(ROLES_WRITE.scopes)} besides. No change was made."
    return GraphError(403, "Authorization_RequestDenied", said)
