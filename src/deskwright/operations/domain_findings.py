"""What a synchronisation could not take over, and what to do about it: told with each run until it is solved."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from deskwright.operations.named import Item


class Code(StrEnum):
    UPN_NOT_UNIQUE = "userPrincipalNameNotUnique"
    UPN_IN_USE = "userPrincipalNameInUse"
    HOLDS_ROLE = "userHoldsRole"
    UPN_UNFIT = "userPrincipalNameUnfit"
    GROUP_NOT_UNIQUE = "groupNameNotUnique"
    GROUP_IN_USE = "groupNameInUse"
    NESTED_GROUPS = "nestedGroupsNotFollowed"


UNSOLVED = frozenset(Code) - {Code.NESTED_GROUPS}
"""Those whose object was left out: it is looked at again by each run, because the way out may be on this side."""

_SAYS: dict[Code, tuple[str, str]] = {
    Code.UPN_NOT_UNIQUE: (
        "Several people of the domain have this user principal name; one was taken over.",
        "Give each a name of their own in the domain.",
    ),
    Code.UPN_IN_USE: (
        "Somebody else in this tenant has this user principal name.",
        "Rename one of the two, or delete the person who is not meant.",
    ),
    Code.HOLDS_ROLE: (
        "A person of this tenant has this user principal name and holds a role here. Whoever rules the domain would "
        "rule the role, so they were not taken over.",
        "Take the role away, let a run take the person over, and give it back: deskwright role unassign ROLE USER",
    ),
    Code.UPN_UNFIT: (
        "This user principal name has a blank or a control character, no @ or two, or more than 113 characters.",
        "Change it in the domain.",
    ),
    Code.GROUP_NOT_UNIQUE: (
        "Several security groups of the domain have this display name; one was taken over.",
        "Give each a display name of its own in the domain.",
    ),
    Code.GROUP_IN_USE: (
        "This tenant has a group of that name which is not the domain's. It was not touched.",
        "Rename one of the two, or let the domain have it: deskwright domain adopt DOMAIN GROUP",
    ),
    Code.NESTED_GROUPS: (
        "{number} of its members are groups; people in those do not count as its members.",
        "Make those who should have what this group brings direct members of it.",
    ),
}


def finding(code: Code, kind: str, name: str, source: UUID, **values: Any) -> Item:
    said, way_out = _SAYS[code]
    return {
        "code": code.value,
        "objectType": kind,
        "displayName": name,
        "sourceId": str(source),
        "detail": said.format(**values),
        "recommendedAction": way_out,
        **({"distinguishedName": values["distinguished_name"]} if "distinguished_name" in values else {}),
    }
