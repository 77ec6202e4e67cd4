"""Who may make which call, of every call there is: by the table of routes, so that a new one is tested by being served.

SPEC.md section 5: everything belongs to one tenant; no query, page or token ever crosses.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deskwright.graph.routes import Route
from deskwright.identity.permissions import PERMISSIONS, included_in, including
from tests import company as companies
from tests.graph.conftest import Answer, Graph
from tests.graph.everything import READER, Everything, automation, everything, furnish, label, routes
from tests.graph.writes import arguments, good

__all__ = ["everything"]

_WRITES = tuple(r for r in routes() if r[1].writes)
_ALL = routes()


def _call(graph: Graph, version: str, route: Route, everything: Everything) -> Answer:
    body = good(route, everything) if route.method in ("POST", "PATCH") else None
    return graph.call(route.method, f"/{version}{everything.keys(route.path)}{arguments(route, everything)}", body)


def _needed(route: Route) -> set[str]:
    """Every permission that opens the call."""
    wanted = {name for name in route.access.scopes if PERMISSIONS[name].writes or not route.writes}
    return set[str]().union(*(including(name) for name in wanted))


@pytest.fixture
def unchanged(everything: Everything) -> Iterator[None]:
    """The test must not change a row of any tenant."""
    before = everything.rows()
    yield
    after = everything.rows()
    assert {table for table in before if before[table] != after[table]} == set()


def test_a_write_needs_a_permission_to_write() -> None:
    """In the table itself: a call that changes something is opened by no permission that only reads."""
    for version, route in _WRITES:
        assert _needed(route), label(version, route)
        assert all(PERMISSIONS[name].writes for name in route.access.scopes), label(version, route)
    for version, route in routes("PATCH", "DELETE"):
        assert route.writes, label(version, route)


def test_without_a_token_nothing_is_answered(everything: Everything, unchanged: None) -> None:
    nobody = Graph(everything.graph.client, None, everything.graph.current)  # type: ignore[arg-type]
    for version, route in _ALL:
        answer = _call(nobody, version, route, everything)
        assert (answer.status, answer.code) == (401, "InvalidAuthenticationToken"), label(version, route)
        assert answer.headers["www-authenticate"].startswith("Bearer"), label(version, route)


@pytest.mark.parametrize("token", ["Bearer x", "Bearer a.b.c", "Basic eA==", "Bearer " + "x" * 5000, "Bearer", ""])
def test_with_a_made_up_token_nothing_is_answered(everything: Everything, token: str) -> None:
    nobody = Graph(everything.graph.client, None, everything.graph.current)  # type: ignore[arg-type]
    answer = nobody.get("/deviceManagement/virtualEndpoint/cloudPCs", Authorization=token)
    assert answer.status == 401


def test_all_permissions_but_the_needed_ones_are_not_enough(everything: Everything, unchanged: None) -> None:
    for version, route in _ALL:
        needed = _needed(route)
        others = frozenset(name for name in PERMISSIONS if not included_in(name) & needed)
        answer = _call(everything.graph.as_(permissions=others), version, route, everything)
        assert (answer.status, answer.code) == (403, "Forbidden"), (label(version, route), answer.body)
        if not route.access.delegated_only:
            assert any(name in answer.body["error"]["message"] for name in route.access.scopes), label(version, route)


def test_one_of_the_needed_permissions_is_enough_to_read(everything: Everything) -> None:
    for version, route in _ALL:
        if route.writes:
            continue
        for scope in route.access.scopes:
            graph = everything.adele if route.access.delegated_only else everything.graph
            answer = _call(graph.as_(permissions=frozenset({scope})), version, route, everything)
            assert answer.status not in (401, 403), (label(version, route), scope, answer.body)


def test_an_application_that_may_read_cloud_pcs_changes_nothing(everything: Everything, unchanged: None) -> None:
    reading = Graph(
        everything.graph.client, automation(everything.company, "CloudPC.Read.All"), everything.graph.current
    )
    for version, route in _WRITES:
        assert _call(reading, version, route, everything).status == 403, label(version, route)


def test_a_reader_reads_everything_and_changes_nothing(everything: Everything, unchanged: None) -> None:
    joined = everything.company.ids["joined"]
    reader = everything.graph.as_user(joined, "joined@contoso.com", READER)
    for version, route in _ALL:
        if route.path.startswith("/me") or "exportJobs" in route.path:  # who reads may export, which keeps a file
            continue
        answer = _call(reader, version, route, everything)
        if not route.writes:
            assert answer.status != 403, (label(version, route), answer.body)
        elif not route.access.own:
            assert answer.status == 403, (label(version, route), answer.body)
        else:  # what is somebody else's is not theirs to change
            assert answer.status in (403, 404), (label(version, route), answer.body)


def test_a_person_without_a_role_reaches_only_what_is_their_own(everything: Everything, unchanged: None) -> None:
    """Adele's things, asked for by somebody who holds no role and every scope."""
    person = everything.graph.as_user(everything.company.ids["nothing"], "nothing@contoso.com")
    for version, route in _ALL:
        answer = _call(person, version, route, everything)
        where = (label(version, route), answer.status, answer.body)
        if not route.access.own:
            assert answer.status == 403, where
        elif "{id}" in route.path:
            assert answer.status in (403, 404), where
        elif not route.writes:
            assert answer.status == 200, where
            told = str(answer.body)
            assert not [s for s in ("adele", *(everything.named[n] for n in ("cloudPCs", "groups"))) if s in told], (
                where
            )


def test_a_person_without_a_role_reads_their_own(everything: Everything) -> None:
    adele = everything.graph.as_user(everything.company.ids["adele"], "adele@contoso.com")
    assert adele.get("/me").body["userPrincipalName"] == "adele@contoso.com"
    for path in ("/me/cloudPCs", f"/users/{everything.named['users']}/cloudPCs", "/users/adele@contoso.com/cloudPCs"):
        assert everything.named["cloudPCs"] in adele.get(path).of("id")
    assert adele.get(f"/me/cloudPCs/{everything.named['cloudPCs']}/retrieveCloudPcLaunchDetail").status == 200
    assert adele.get("/users/joined@contoso.com/cloudPCs").status == 403


# --- another tenant --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fabrikam(everything: Everything) -> Everything:
    """A second tenant of the same installation, with everything in it as well."""
    company = companies.found(everything.company.world.database, everything.company.world.settings, "fabrikam.com")
    graph = Graph(everything.graph.client, automation(company), everything.graph.current)
    return furnish(graph, company)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


# These sets are the same in every tenant: nobody's, so nothing of anybody is told.
_SHARED = ("galleryImages", "supportedRegions", "roleDefinitions", "resourceNamespaces", "roleScopeTags", "cloudPC")


def _of_nobody(route: Route) -> bool:
    names = route.path.split("/{id}")[0].rpartition("/")[2]
    return names in _SHARED


@pytest.mark.parametrize("signed_in", [False, True], ids=["application", "administrator"])
def test_ids_of_another_tenant_name_nothing(everything: Everything, fabrikam: Everything, signed_in: bool) -> None:
    """Every call with a key, by a caller of Fabrikam with every right, on Contoso's real objects."""
    caller = fabrikam.adele if signed_in else fabrikam.graph
    rows = _rows_of(everything)
    for version, route in _ALL:
        if "{id}" not in route.path or _of_nobody(route):
            continue
        answer = _call(caller, version, route, everything)
        assert answer.status in (403, 404) or (answer.status == 501 and _unserved(route)), (
            label(version, route),
            answer.status,
            answer.body,
        )
        mixed = route.path.count("{id}") > 1
        if mixed:  # their own parent, another tenant's child
            begin, _, end = route.path.rpartition("{id}")
            key = everything.keys(f"{begin}{{id}}").rpartition("/")[2]
            path = f"/{version}{fabrikam.keys(begin.rstrip('/'))}/{key}{end}"
            body = good(route, fabrikam) if route.method in ("POST", "PATCH") else None
            answer = caller.call(route.method, path, body)
            assert answer.status in (403, 404, 501) or "resourceActions" in path or "inherits" in path, (
                path,
                answer.body,
            )
    assert _rows_of(everything) == rows


def _unserved(route: Route) -> bool:
    return any(name in route.path for name in ("sharedUseServicePlans", "settingProfiles", "maintenanceWindows"))


def test_ids_of_another_tenant_in_bodies_name_nothing(everything: Everything, fabrikam: Everything) -> None:
    """Fabrikam's own objects in the path, Contoso's in the body."""
    rows = _rows_of(everything)
    theirs = replace(
        fabrikam,
        company=replace(fabrikam.company, ids=everything.company.ids),
        named=everything.named,
        graph=everything.graph,
    )
    ours = {str(i) for i in everything.company.ids.values()} | set(everything.named.values())
    tried = 0
    for version, route in routes("POST", "PATCH"):
        body = good(route, theirs)
        if not body or not ours & set(_texts(body)) or "/me/" in route.path:
            continue
        tried += 1
        answer = fabrikam.graph.call(route.method, f"/{version}{fabrikam.keys(route.path)}", body)
        if answer.status < 300:  # told that there is no such thing
            assert not ours & set(_texts(_found(answer.body))), (label(version, route), answer.body)
        else:
            assert answer.status in (400, 404, 409), (label(version, route), answer.body)
    assert tried > 25
    assert _rows_of(everything) == rows


def _found(body: Any) -> Any:
    """Of an answer that tells about each id it was given: what it found."""
    if isinstance(body, dict) and "notFoundDeviceIds" in body:
        return {**body, "notFoundDeviceIds": []}
    if isinstance(body, dict) and "value" in body:
        return [v for v in body["value"] if v.get("validationResult") != "cloudPcNotFound"]
    return body


def test_lists_tell_nothing_of_another_tenant(everything: Everything, fabrikam: Everything) -> None:
    ours = {str(i) for i in everything.company.ids.values()} | set(everything.named.values())
    ours |= {str(row.id) for row in everything.company.pcs()} | {"adele@contoso.com", "contoso.com"}
    ours -= set(_texts([str(i) for i in fabrikam.company.ids.values()])) | set(fabrikam.named.values())
    for version, route in _ALL:
        if route.writes or _of_nobody(route):
            continue
        caller = fabrikam.adele if route.access.delegated_only else fabrikam.graph
        answer = _call(caller, version, route, fabrikam)
        told = set(_texts(answer.body)) if isinstance(answer.body, dict | list) else {answer.body.decode()}
        assert not ours & told, (label(version, route), ours & told)
        assert "contoso" not in str(answer.body).lower(), label(version, route)


def _rows_of(everything: Everything) -> dict[str, Any]:
    """The tenant's rows of every table that knows a tenant."""
    return everything.rows(tenant=True)
