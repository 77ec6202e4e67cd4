"""Every answer of every call, held against Microsoft's own SDKs: the types, not our copy of the contract."""

import json
from collections import Counter
from typing import Any

import pytest

from deskwright.domain.status import Status
from deskwright.graph.contract import VERSIONS
from deskwright.graph.routes import Route
from tests.graph.everything import Everything, everything, routes
from tests.graph.sdk_check import class_of, faults
from tests.graph.writes import arguments, good

__all__ = ["everything"]

# What is refused wherever there is nothing of the kind: documented answers, not entities.
_NEVER = {
    "retrievePolicyApplyActionResult": 404,
    "retrievePolicyApplySchedule": 404,
    "getFrontlineCloudPcAccessState": 501,
}
_EMPTY_SETS = (
    "sharedUseServicePlans",
    "settingProfiles",
    "maintenanceWindows",
    "frontLineServicePlans",
    "externalPartnerSettings",
    "externalPartners",
)
_LAUNCH = ("retrieveCloudPcLaunchDetail", "getCloudPcLaunchInfo")


def _expected(route: Route) -> set[int]:
    name = route.path.rstrip("/").rpartition("/")[2]
    if name in _NEVER:
        return {_NEVER[name]}
    if name in _LAUNCH:
        return {200, 404}  # where there is no machine yet
    return {404} if route.path.endswith("{id}") and route.path.split("/")[-2] in _EMPTY_SETS else {200}


def _wrong(version: str, route: Route, answer: Any) -> list[str]:
    if route.path.endswith("/members/$ref"):  # references, of which the SDK expects texts and Graph sends objects
        return [f"{item} is no reference" for item in answer.values if set(item) != {"@odata.id"}]
    if route.returns == "Int32":
        return [] if answer.body.isdigit() else [f"{answer.body!r} is not a number"]
    if route.returns == "Binary":
        if "/content" in route.path:
            return []
        table = json.loads(answer.body)
        width = len(table["Schema"])
        return [f"{row} has no value for each column" for row in table["Values"] if len(row) != width]
    if "managedDevices/bulk" in route.path:
        outcomes = ("successful", "failed", "notFound", "notSupported")  # not in the SDK any more
        return [f"{answer.body} has no {o}DeviceIds" for o in outcomes if f"{o}DeviceIds" not in answer.body]
    if route.returns is None:
        return [] if isinstance(answer.body, dict) and answer.body.get("value") == [] else [f"{answer.body} is odd"]
    return faults(version, route.returns, answer.body)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_read_answers_what_the_sdk_reads(everything: Everything, version: str) -> None:
    found: Counter[str] = Counter()
    for _, route in [r for r in routes("GET") if r[0] == version]:
        graph = everything.adele if route.access.delegated_only else everything.graph
        given, first = arguments(route, everything), True
        for path in everything.paths(route.path):
            whole = "?$select=*&$expand=*" if route.returns in ENTITIES or "Collection(" in str(route.returns) else ""
            for options in ("", whole) if first and whole else (whole,):
                if route.path.endswith("/virtualEndpoint"):
                    options = ""  # its sets are not expanded, by design
                answer = graph.get(f"/{version}{path}{given}{options}")
                if answer.status not in _expected(route):
                    found[f"{route.path}{options}: {answer.status} {answer.body}"] += 1
                elif answer.status == 200:
                    found.update(f"{route.path}{options}: {fault}" for fault in _wrong(version, route, answer))
            first = False
    assert not found, "\n".join(found)


def test_there_is_a_cloud_pc_in_every_status(everything: Everything) -> None:
    """The walk above would prove little of a tenant in which nothing has happened."""
    statuses = everything.graph.get("/deviceManagement/virtualEndpoint/cloudPCs").of("status")
    assert set(statuses) == {s.value for s in Status if s is not Status.GONE}
    for path in (
        "virtualEndpoint/snapshots",
        "virtualEndpoint/bulkActions",
        "monitoring/alertRecords",
        "managedDevices",
    ):
        assert everything.graph.get(f"/deviceManagement/{path}").values, path


@pytest.mark.parametrize("version", VERSIONS)
def test_every_write_answers_what_the_sdk_reads(everything: Everything, version: str) -> None:
    found, checked = [], 0
    for _, route in [r for r in routes("POST", "PATCH") if r[0] == version]:
        graph = everything.adele if route.access.delegated_only else everything.graph
        answer = graph.call(route.method, f"/{version}{everything.keys(route.path)}", good(route, everything))
        if answer.status == 204:
            assert answer.body == b"", route.path
        elif answer.status < 300:
            checked += 1
            found += [f"{route.method} {route.path}: {f}" for f in _wrong(version, route, answer)]
        if answer.status < 300 or route.returns:
            differs = answer.status != route.status
            found += [f"{route.method} {route.path}: {answer.status} {answer.body}"] * differs
        everything.company.settle()
    assert not found, "\n".join(found)
    assert checked > 15


@pytest.mark.parametrize("version", VERSIONS)
def test_the_checker_sees_what_is_wrong(version: str) -> None:
    right = {"id": "x", "displayName": "x", "restorePointSetting": {"frequencyType": "sixHours"}}
    assert faults(version, "cloudPcUserSetting", right) == []
    assert class_of(version, "cloudPC").__name__ == "CloudPC"
    spoilt: tuple[dict[str, Any], ...] = (
        {"colour": "red"},
        {"displayName": 5},
        {"localAdminEnabled": "true"},
        {"createdDateTime": "yesterday"},
        {"createdDateTime": "2026-01-01T00:00:00"},
        {"restorePointSetting": {"frequencyType": "hourly"}},
        {"restorePointSetting": []},
        {"id": None},
        {"@odata.type": "#microsoft.graph.cloudPC"},
    )
    for wrong in spoilt:
        assert len(faults(version, "cloudPcUserSetting", {**right, **wrong})) >= 1, wrong


ENTITIES = {r.returns for _, r in routes("GET") if r.path.endswith("{id}") and r.returns}
