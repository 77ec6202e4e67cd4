"""Provisioning policies: the list, one policy with whom it reaches, and taking one away."""

from typing import Any
from uuid import UUID

from deskwright.document import export
from deskwright.operations import audit, policies, policy_choices, policy_drift, policy_reach
from deskwright.operations.named import Item, cursor
from deskwright.operations.policy_view import POLICY
from deskwright.web.admin import policy_edit, policy_form, policy_wizard
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, View, Went, show

_ = policy_wizard, policy_edit  # their addresses go before those with a policy's name in them
_PAGE = 50
_PATH = "/admin/{tenant}/policies"
_MANY = 1000
_EVENTS = 5


@page(_PATH)
def list_(view: View) -> Answer:
    wanted, after = view.asked("q"), view.asked("after")
    found = policies.list_(view.database, view.tenant, after or None, _PAGE, wanted)
    following = cursor(POLICY, found[-1]) if len(found) == _PAGE else None
    ids = [policy["id"] for policy in found]
    with view.database.engine.connect() as connection:
        statuses = policy_reach.statuses(connection, view.tenant, ids)
        overlaps = policy_reach.overlaps(connection, view.tenant, ids) if ids else {}
    health = _health(view, found)
    values: dict[str, Any] = {
        "policies": [_told(p, health) for p in found],
        "statuses": statuses,
        "overlaps": overlaps,
        "joins": policy_form.JOINS,
    }
    block = "results" if view.fragment else None
    return show("admin/policies.html", block, wanted=wanted, after=after, following=following, **values)


@page(f"{_PATH}/{{policy}}")
def one(view: View) -> Answer:
    policy = policies.show(view.database, view.tenant, view.path["policy"])
    with view.database.engine.connect() as connection:
        statuses = policy_reach.statuses(connection, view.tenant, [policy["id"]])[policy["id"]]
        if view.fragment:
            return show("admin/policy.html", "state", policy=policy, statuses=statuses)
        reach = policy_reach.groups(connection, view.tenant, [a["groupId"] for a in policy["assignments"]])
        overlaps = policy_reach.overlaps(connection, view.tenant, [policy["id"]])[policy["id"]]
        drifted = policy_drift.drift_count(connection, view.tenant, UUID(policy["id"]), _MANY)
    events = audit.list_(view.database, view.tenant, resource=policy["id"], limit=20)
    moved = [e for e in events if (e["before"] or {}).get("assignments") is not None and e["activity"] in _MOVES]
    values: dict[str, Any] = {
        "policy": _told(policy, _health(view, [policy])),
        "joins": policy_form.JOINS,
        "statuses": statuses,
        "groups": {g["id"]: g for g in reach},
        "overlaps": overlaps,
        "drifted": drifted,
        "many": _MANY,
        "moved": moved[:_EVENTS],
        "document": export.one(view.database, view.tenant, "provisioningPolicies", UUID(policy["id"])),
    }
    return show("admin/policy.html", **values)


@page(f"{_PATH}/{{policy}}/drift")
def drift(view: View) -> Answer:
    policy = policies.show(view.database, view.tenant, view.path["policy"])
    with view.reading() as connection:
        found = policy_drift.drifted(connection, view.tenant, UUID(policy["id"]), _PAGE + 1)
    told = [{**c, "differs": [policy_form.LABELS[name] for name in c["properties"]]} for c in found[:_PAGE]]
    return show("admin/policy_drift.html", policy=policy, found=told, more=len(found) > _PAGE)


@page(f"{_PATH}/{{policy}}/delete", Needs.ADMINISTRATOR)
def ask_delete(view: View) -> Answer:
    policy = policies.show(view.database, view.tenant, view.path["policy"])
    with view.reading() as connection:
        statuses = policy_reach.statuses(connection, view.tenant, [policy["id"]])[policy["id"]]
    return show("admin/policy_delete.html", policy=policy, existing=sum(statuses.values()))


@action(f"{_PATH}/{{policy}}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = policies.delete(view.database, view.tenant, view.actor, view.path["policy"], confirmed=view.confirmed)
    return Went(view.to("policies"), f"The policy {gone['displayName']} is deleted.")


_MOVES = ("Assign provisioning policy", "Unassign provisioning policy")


def _health(view: View, found: list[Item]) -> dict[str, str]:
    """Connection -> its health, of all that these policies use."""
    if all(j["onPremisesConnectionId"] is None for p in found for j in p["domainJoinConfigurations"]):
        return {}
    with view.reading() as connection:
        return {k["id"]: k["healthCheckStatus"] for k in policy_choices.connections(connection, view.tenant)}


def _told(policy: Item, health: dict[str, str]) -> Item:
    """A policy with its network and image in words."""
    wired = [
        {**j, "healthCheckStatus": health.get(j["onPremisesConnectionId"], "pending")}
        for j in policy["domainJoinConfigurations"]
        if j["onPremisesConnectionId"]
    ]
    return {
        **policy,
        "joinType": policy["domainJoinConfigurations"][0]["domainJoinType"],
        "connections": wired,
        "hosted": policy_form.hosted(policy),
        "imageName": policy_form.image_name(policy),
    }
