"""The wire rules of the API (graph-api §1, graph-clients §5), on a small read-only set."""

from dataclasses import replace

import pytest

from deskwright.graph.app import GraphApp
from deskwright.graph.errors import GraphError
from deskwright.graph.filters import condition
from deskwright.graph.resources.service_plans import PLANS as PLANS_SOURCE
from deskwright.operations import licenses
from tests.company import Company
from tests.graph.conftest import Graph

PLANS = "/deviceManagement/virtualEndpoint/servicePlans"


def _plan(company: Company, name: str) -> None:
    licenses.create_plan(company.world.database, company.tenant, "test", display_name=name, seats=5)


@pytest.fixture(autouse=True)
def plans(company: Company) -> None:
    for cores, ram, disk in ((2, 4, 64), (2, 8, 128), (4, 16, 256), (8, 32, 512)):
        _plan(company, f"Cloud PC Enterprise {cores}vCPU/{ram}GB/{disk}GB")


def test_list_and_get(graph: Graph) -> None:
    answer = graph.get(PLANS)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert {p["vCpuCount"] for p in answer.values} == {2, 4, 8}
    one = graph.get(f"{PLANS}/{answer.values[0]['id']}")
    assert one.body["displayName"] == answer.values[0]["displayName"]
    assert one.body["@odata.context"].endswith("#microsoft.graph.cloudPcServicePlan")


def test_v1_knows_fewer_properties(graph: Graph) -> None:
    v1, beta = graph.get(f"/v1.0{PLANS}").values[0], graph.get(f"/beta{PLANS}").values[0]
    assert "type" in beta
    assert set(v1) == {"id", "displayName", "ramInGB", "storageInGB", "vCpuCount"}


@pytest.mark.parametrize(
    "path",
    [
        "/devicemanagement/virtualendpoint/serviceplans",
        "/DeviceManagement/VirtualEndpoint/ServicePlans/",
        "/deviceManagement//virtualEndpoint/servicePlans",
    ],
)
def test_paths_in_any_case_with_a_slash_at_the_end(graph: Graph, path: str) -> None:
    assert len(graph.get(path).values) == 4


def test_keys_in_brackets(graph: Graph) -> None:
    plan = graph.get(PLANS).values[0]
    assert graph.get(f"{PLANS}('{plan['id']}')").body["id"] == plan["id"]


def test_select(graph: Graph) -> None:
    assert set(graph.get(f"{PLANS}?$select=displayName,VCPUCOUNT").values[0]) == {"displayName", "vCpuCount"}
    assert "ramInGB" in graph.get(f"{PLANS}?$select=*").values[0]
    refused = graph.get(f"{PLANS}?$select=colour")
    assert (refused.status, refused.code) == (400, "BadRequest")
    assert "'colour'" in refused.body["error"]["message"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("vCpuCount eq 2", {64, 128}),
        ("vcpucount gt 2 and ramInGB lt 20", {256}),
        ("not(vCpuCount eq 2)", {256, 512}),
        ("storageInGB in (64,512)", {64, 512}),
        ("contains(displayName,'16GB')", {256}),
        ("startswith(tolower(displayName),'cloud pc enterprise 8')", {512}),
        ("endswith(displayName,'/64GB')", {64}),
        ("displayName eq 'CLOUD PC enterprise 2vCPU/4GB/64GB'", {64}),
        ("displayName+eq+'Cloud PC Enterprise 2vCPU/4GB/64GB'", {64}),
        ("(storageInGB eq 64 or storageInGB eq 128) and ramInGB ne 4", {128}),
        ("displayName eq null", set()),
        ("id eq 'nobody'", set()),
        ("displayName eq 'it''s; DROP TABLE users --'", set()),
        ("contains(displayName,'%')", set()),
        ("contains(displayName,'2vCPU') eq true", {64, 128}),
    ],
)
def test_filter(graph: Graph, expression: str, found: set[int]) -> None:
    answer = graph.get(f"{PLANS}?$filter={expression}")
    assert answer.status == 200, answer.body
    assert set(answer.of("storageInGB")) == found


@pytest.mark.parametrize(
    "expression",
    ["colour eq 'red'", "vCpuCount eq 'two'", "displayName eq", "frobnicate(displayName)", "1 eq 1", "'x'", "("],
)
def test_a_filter_that_cannot_be_is_refused(graph: Graph, expression: str) -> None:
    answer = graph.get(f"{PLANS}?$filter={expression}")
    assert (answer.status, answer.code) == (400, "BadRequest")


@pytest.mark.parametrize(
    "expression",
    [
        " or ".join("vCpuCount eq 2" for _ in range(10_000)),
        " or ".join("vCpuCount eq 2" for _ in range(600)),
        "not " * 2000 + "vCpuCount eq 2",
        "vCpuCount in (" + ",".join("2" for _ in range(2000)) + ")",
    ],
    ids=["10,000 terms", "600 terms", "not", "in"],
)
def test_a_filter_that_is_too_much_is_refused(expression: str) -> None:
    with pytest.raises(GraphError) as refused:
        condition(PLANS_SOURCE.fields, expression)
    assert refused.value.status == 400


def test_order_top_skip_and_count(graph: Graph) -> None:
    answer = graph.get(f"{PLANS}?$orderBy=storageInGB desc&$top=2&$count=true")
    assert answer.of("storageInGB") == [512, 256]
    assert answer.body["@odata.count"] == 4
    assert graph.get(f"{PLANS}?$orderby=storageInGB&$skip=3").of("storageInGB") == [512]
    assert graph.get(f"{PLANS}/$count").body == b"4"
    assert graph.get(f"{PLANS}/$count?$filter=vCpuCount eq 2").body == b"2"


@pytest.mark.parametrize("order", ["", "&$orderby=vCpuCount", "&$orderby=vCpuCount desc,displayName desc"])
def test_pages_stay_where_they_are(graph: Graph, company: Company, order: str) -> None:
    """Every one is told once, though others come while one turns the pages."""
    everything = {p["id"] for p in graph.all(PLANS)}
    first = graph.get(f"{PLANS}?$top=1{order}")
    told, link, added = list(first.of("id")), first.body["@odata.nextLink"], 0
    assert link.startswith("http://127.0.0.1/beta/")
    while link:
        if added < 3:
            _plan(company, f"Cloud PC Enterprise {2 + 2 * added}vCPU/64GB/{64 + added}GB")
            added += 1
        answer = graph.get(link)
        told += answer.of("id")
        link = answer.body.get("@odata.nextLink")
    assert len(told) == len(set(told))
    assert everything <= set(told)


def test_search(graph: Graph) -> None:
    assert graph.get(f'{PLANS}?$search="displayName:16GB"').of("storageInGB") == [256]
    assert set(graph.get(f"{PLANS}?$search=2vCPU").of("storageInGB")) == {64, 128}


@pytest.mark.parametrize("token", ["x", "WzFd", "W251bGxd", "%00", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OV0"])
def test_a_made_up_skiptoken_is_refused_or_finds_nothing(graph: Graph, token: str) -> None:
    assert graph.get(f"{PLANS}?$skiptoken={token}").status in (200, 400)


@pytest.mark.parametrize(
    "option", ["$top=0", "$top=x", "$skip=-1", "$count=maybe", "$frobnicate=1", "$orderby=x sideways"]
)
def test_options_that_cannot_be_are_refused_by_name(graph: Graph, option: str) -> None:
    answer = graph.get(f"{PLANS}?{option}")
    assert answer.status == 400
    assert answer.code == "BadRequest"


def test_what_is_not_there(graph: Graph) -> None:
    assert (graph.get("/deviceManagement/nothing").status, graph.get("/x").status) == (404, 404)
    missing = graph.get(f"{PLANS}/00000000-0000-0000-0000-000000000001")
    assert (missing.status, missing.code) == (404, "ResourceNotFound")
    assert graph.get(f"{PLANS}/not-an-id").status == 404


def test_methods_that_are_not(graph: Graph) -> None:
    """Read-only sets' generator-only verbs answer 405; calls nobody serves 501, naming them."""
    refused = graph.post(PLANS, {"displayName": "x"})
    assert (refused.status, refused.headers["allow"]) == (405, "GET")
    unserved = graph.get("/deviceManagement/virtualEndpoint/cloudPcPools")
    assert (unserved.status, unserved.code) == (501, "notSupported")
    assert "cloudPcPools" in unserved.body["error"]["message"]


def test_ids_of_the_request_come_back(graph: Graph) -> None:
    answer = graph.get(f"{PLANS}?$top=x", client_request_id="my-request-1")
    inner = answer.body["error"]["innerError"]
    assert inner["client-request-id"] == answer.headers["client-request-id"] == "my-request-1"
    assert inner["request-id"] == answer.headers["request-id"]


def test_permissions(graph: Graph) -> None:
    assert graph.as_(permissions=frozenset({"CloudPC.Read.All"})).get(PLANS).status == 200
    refused = graph.as_(permissions=frozenset({"User.Read.All"})).get(PLANS)
    assert (refused.status, refused.code) == (403, "Forbidden")
    assert "CloudPC.Read.All" in refused.body["error"]["message"]


def test_bodies_that_cannot_be(graph: Graph) -> None:
    assert graph.post(PLANS, b"{").status == 405  # the method comes first
    large = graph.call("POST", "/deviceManagement/virtualEndpoint/userSettings", b"x" * 1_000_001)
    assert large.status == 413


def test_one_client_is_held_to_its_share(company: Company, graph: Graph) -> None:
    """Beyond it 429 with Retry-After, which the SDKs honour; when one of its requests is over, the next is served."""
    crowded = replace(company.world, settings=company.world.settings.model_copy(update={"requests_at_once": 2}))
    app = GraphApp(crowded, "beta")
    with app._one_more("Bearer a"), app._one_more("Bearer a"):
        with pytest.raises(GraphError) as refused, app._one_more("Bearer a"):
            pass
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
        with app._one_more("Bearer b"):
            pass
    with app._one_more("Bearer a"):
        pass
    assert not app._under_way
