"""The OpenAPI documents say what is served: paths, keys, types, statuses."""

import json
from typing import Any

import pytest

from deskwright.graph import coverage, openapi
from deskwright.graph.contract import VERSIONS, model
from deskwright.graph.routes import router
from tests.graph.conftest import Graph

BOTH = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    return {version: openapi.document(version) for version in VERSIONS}


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(v) for v in value.values()))
    if isinstance(value, list):
        return set().union(*(references(v) for v in value))
    return set()


@BOTH
def test_every_path_finds_its_route(documents: dict[str, dict[str, Any]], version: str) -> None:
    here = router(version)
    for path, item in documents[version]["paths"].items():
        for method in item:
            found = here.find(method.upper(), path)
            assert found.route.method == method.upper()
            wanted = [p["name"] for p in item[method]["parameters"] if p.get("in") == "path"]
            assert len(found.keys) + len(found.arguments) == len(wanted), path


@BOTH
def test_every_reference_leads_somewhere(documents: dict[str, dict[str, Any]], version: str) -> None:
    for reference in references(documents[version]):
        found: Any = documents[version]
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


@BOTH
def test_everything_served_is_in_it(documents: dict[str, dict[str, Any]], version: str) -> None:
    calls = sum(len(item) for item in documents[version]["paths"].values())
    assert calls >= coverage.share(version).served
    ids = [o["operationId"] for item in documents[version]["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids))


@BOTH
def test_types_are_the_contracts(documents: dict[str, dict[str, Any]], version: str) -> None:
    schemas = documents[version]["components"]["schemas"]
    for name, type_ in model(version).types.items():
        if f"microsoft.graph.{name}" not in schemas:
            continue
        told = schemas[f"microsoft.graph.{name}"]["properties"]
        for property_ in type_.properties.values():
            schema = told[property_.name]
            if property_.collection:
                assert schema["type"] == "array"
            elif property_.type == "String":
                assert schema["type"] == (["string", "null"] if property_.nullable else "string"), (name, property_)
            elif property_.type in model(version).enumerations:
                assert f"#/components/schemas/microsoft.graph.{property_.type}" in references(schema)
    assert ("status" in schemas["microsoft.graph.cloudPC"]["properties"]) is (version == "beta")


@BOTH
def test_the_share_counts_what_the_router_does(graph: Graph, version: str) -> None:
    """What the page calls served, 405 or 501 is what a caller gets."""
    wanted = {coverage.Answer.NOT_ALLOWED: 405, coverage.Answer.NOT_SERVED: 501}
    told = coverage.answers(version)
    for operation, answer in told:
        if answer is not coverage.Answer.SERVED:
            path = operation.path.replace("{id}", "00000000-0000-0000-0000-000000000001")
            got = graph.call(operation.method, f"/{version}{path}")
            assert got.status == wanted[answer], (operation, got.body)
    share = coverage.share(version)
    assert share.served == sum(answer is coverage.Answer.SERVED for _, answer in told)
    assert f"{share.served} of {share.of}" in str(share)


@pytest.mark.parametrize(
    ("path", "set_"),
    [
        ("/deviceManagement/virtualEndpoint/cloudPCs/{id}/reboot", "deviceManagement/virtualEndpoint/cloudPCs"),
        ("/deviceManagement/virtualEndpoint", "deviceManagement/virtualEndpoint"),
        ("/users/{id}/cloudPCs/$count", "users"),
        ("/roleManagement/cloudPC/roleAssignments", "roleManagement/cloudPC/roleAssignments"),
    ],
)
def test_sets(path: str, set_: str) -> None:
    assert coverage.set_of(path) == set_


def test_the_text_has_a_line_for_each_operation(documents: dict[str, dict[str, Any]]) -> None:
    text = openapi.text(documents["v1.0"])
    assert json.loads(text) == documents["v1.0"]
    assert sum(line.startswith('   "get": ') for line in text.splitlines()) == sum(
        "get" in item for item in documents["v1.0"]["paths"].values()
    )
