"""Assignment targets as clients write them, in any of their forms: the groups that are meant."""

from collections.abc import Mapping
from typing import Any

from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_possible
from deskwright.operations.named import as_id

GROUP_TARGET = "#microsoft.graph.cloudPcManagementGroupAssignmentTarget"


def groups_of(call: Call) -> list[str]:
    """Ids of the groups of an `assign` body, in order. Raises 400 where the list is not there: it replaces all."""
    given = call.fields.get("assignments", ...)
    if given is ... or not isinstance(given, list | dict) or (isinstance(given, dict) and given):
        said = "is missing" if given is ... else f"must be a list, not {given!r:.60}"
        raise bad(f"The parameter 'assignments' {said}; an empty list takes away all assignments.", "assignments")
    return [group_of(element, f"assignments[{n}]/") for n, element in enumerate(given)]


def group_of(element: Any, path: str) -> str:
    """The id of an assignment's group. The type of its target may be missing; its id is ignored, but for the form
    `policy_group` without a target."""
    if not isinstance(element, Mapping):
        raise bad(f"'{path.rstrip('/') or 'body'}' must be an object with a target.", path.rstrip("/") or "body")
    members = {str(name).lower(): value for name, value in element.items()}
    target = members.get("target")
    inner = {str(k).lower(): v for k, v in target.items()} if isinstance(target, Mapping) else {}
    if inner.get("serviceplanid"):
        raise not_possible(f"'{path}target/servicePlanId' belongs to Frontline policies, which are not served yet.")
    group = inner.get("groupid")
    if group is None and target is None:
        group = str(members.get("id") or "").partition("_")[2] or None
    if group is None:
        raise bad(f"The property '{path}target/groupId' is missing.", f"{path}target/groupId")
    if not isinstance(group, str) or as_id(group) is None:
        raise bad(
            f"The value {group!r:.80} of '{path}target/groupId' is not the id of a group.", f"{path}target/groupId"
        )
    return group
