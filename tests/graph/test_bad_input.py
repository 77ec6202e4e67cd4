"""Bad input, over every call there is: refused by name, no failure of ours, nothing changed (SPEC.md section 9)."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from deskwright.graph.contract import Property, model
from deskwright.graph.routes import KEY, Route
from tests.graph.conftest import Answer, Graph
from tests.graph.everything import NO_ONE, Everything, everything, label, routes
from tests.graph.writes import arguments, good

__all__ = ["everything"]

# One version, where both have the same handlers; the types of bodies are each version's own.
_WITH_BODY = [(v, r) for v, r in routes("POST", "PATCH") if v == "beta"]
_TYPED = [(v, r) for v, r in routes("POST", "PATCH") if r.body in model(v).types]
_OURS = re.compile(r"Traceback|psycopg|sqlalchemy|\[SQL|\.py\b|DETAIL:|LINE \d|<class|object at 0x")

_NOT_AN_OBJECT = {
    "no JSON": b"{",
    "a list begun": b"[1",
    "not UTF-8": b'{"displayName": "\xff\xfe"}',
    "NaN": b'{"displayName": NaN}',
    "a text": b'"text"',
    "a list": b"[]",
    "a list of objects": b'[{"displayName": "x"}]',
    "a number": b"5",
    "true": b"true",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"displayName":' * 5_000 + b"1" + b"}" * 5_000,
    "too long": b'{"displayName": "' + b"x" * 1_000_000 + b'"}',
}
_TEXTS = {
    "U+0000": "a\0b",
    "half a pair": "\ud800",
    "SQL": "'; DROP TABLE users; --",
    "OData": "' or 1 eq 1 or 'a' eq '",
    "a path": "../../etc/passwd",
    "a template": "{{7*7}}${7*7}%s%n",
    "long": "x" * 40_000,
    "blank": " \t ",
    "directions": "\u202egnp.exe",
}
_KEYS = {
    "U+0000": "%00",
    "slash": "..%2f..%2fusers",
    "SQL": quote("' or 1=1 --", safe=""),
    "not UTF-8": "%ff%fe",
    "long": "x" * 6000,
    "nobody": str(NO_ONE),
    "wide digits": quote("１２３"),
}


def _graph(everything: Everything, route: Route) -> Graph:
    return everything.adele if route.access.delegated_only else everything.graph


def _check(answer: Answer, where: Any) -> None:
    """An answer as any must be: not a failure of ours, an error in its envelope, nothing of the inside told."""
    assert answer.status < 500 or answer.status == 501, (where, answer.status, answer.body)
    if answer.status >= 400:
        error = answer.body["error"]
        assert error["code"], where
        assert error["message"], where
        assert len(error["message"]) < 3000, where
        assert not _OURS.search(json.dumps(error)), (where, error)


def _refused(answer: Answer, where: Any) -> None:
    _check(answer, where)
    assert answer.status >= 400, (where, answer.status, str(answer.body)[:300])


def _path(everything: Everything, version: str, route: Route) -> str:
    """On a real object where the call reads a body, else on none, so that it would be refused anyhow."""
    if good(route, everything) is None:
        return f"/{version}{route.path.replace(KEY, str(NO_ONE))}"
    return f"/{version}{everything.keys(route.path)}"


@pytest.fixture
def unchanged(everything: Everything) -> Iterator[None]:
    """The test must not change a row."""
    before = everything.rows()
    yield
    after = everything.rows()
    assert {table for table in before if before[table] != after[table]} == set()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", _NOT_AN_OBJECT)
def test_a_body_that_is_no_object(everything: Everything, case: str) -> None:
    for version, route in _WITH_BODY:
        answer = _graph(everything, route).call(route.method, _path(everything, version, route), _NOT_AN_OBJECT[case])
        _refused(answer, label(version, route))
        if case == "too long":
            assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")


@pytest.mark.usefixtures("unchanged")
def test_a_body_of_another_kind(everything: Everything) -> None:
    for version, route in _WITH_BODY:
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            answer = everything.adele.call(route.method, _path(everything, version, route), b"a=b", content_type=kind)
            assert (answer.status, answer.code) == (415, "UnsupportedMediaType"), label(version, route)


def _wrong_for(version: str, property_: Property) -> list[Any]:
    """Values of the wrong JSON type, and members that the enumeration does not have."""
    known = model(version)
    if property_.collection:
        return [5, True, [{"a": [5]}, [[]]] if property_.type not in known.types else [5], {"a": 1}]
    if property_.type in known.types:
        return ["text", 5, [1], True]
    if property_.type in known.enumerations:
        return ["frobnicated", 5, True, {"a": 1}, ["x"], ""]
    if property_.type == "Boolean":
        return ["true", 1, {"a": 1}, []]
    if property_.type.startswith("Int"):
        return ["5", 1.5, True, 10**30, {"a": 1}]
    if property_.type in ("Double", "Single", "Decimal"):
        return ["5", True, {"a": 1}, []]
    if property_.type == "DateTimeOffset":
        return ["yesterday", 5, "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", {"a": 1}]
    if property_.type == "Guid":
        return ["x", 5]
    return [5, {"a": 1}, ["x"]]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("version", "route"), _TYPED, ids=[label(*r) for r in _TYPED])
def test_every_property_of_a_wrong_type(everything: Everything, version: str, route: Route) -> None:
    """The refusal names the property."""
    whole, graph = good(route, everything) or {}, _graph(everything, route)
    path = f"/{version}{everything.keys(route.path)}"
    for property_ in model(version).types[str(route.body)].properties.values():
        for value in _wrong_for(version, property_):
            answer = graph.call(route.method, path, {**whole, property_.name: value})
            where = (property_.name, value, answer.status, answer.body)
            _refused(answer, where)
            if answer.status == 400:
                assert property_.name in answer.body["error"]["message"], where


def _spoilt(value: Any, bad: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The body again and again, with one of its texts replaced each time."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not name.startswith("@"):
                for at, changed in _spoilt(inner, bad, f"{path}/{name}"):
                    yield at, {**value, name: changed}
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            for at, changed in _spoilt(inner, bad, f"{path}[{n}]"):
                yield at, [*value[:n], changed, *value[n + 1 :]]
    elif isinstance(value, str):
        yield path, bad


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", ["U+0000", "half a pair"])
def test_texts_that_no_text_can_be(everything: Everything, case: str) -> None:
    for version, route in _WITH_BODY:
        body = good(route, everything)
        for at, spoilt in _spoilt(body, _TEXTS[case]):
            answer = _graph(everything, route).call(route.method, _path(everything, version, route), spoilt)
            where = (label(version, route), at, answer.status, answer.body)
            _refused(answer, where)
            if answer.status == 400:
                assert answer.body["error"]["target"] == at.lstrip("/"), where


@pytest.mark.parametrize("case", [c for c in _TEXTS if c not in ("U+0000", "half a pair")])
def test_texts_that_mean_something_elsewhere(everything: Everything, case: str) -> None:
    """They may be names like any other, and must be only that."""
    for version, route in routes("POST", "PATCH"):
        if version == "v1.0" or "/me/" in route.path:
            continue
        for at, spoilt in _spoilt(good(route, everything), _TEXTS[case]):
            answer = _graph(everything, route).call(route.method, _path(everything, version, route), spoilt)
            _check(answer, (label(version, route), at, answer.status, answer.body))
    assert everything.graph.get("/users/$count").body.isdigit()


def test_bodies_with_nothing_in_them(everything: Everything) -> None:
    """Null for everything, an empty object, or only what nobody knows."""
    for version, route in _WITH_BODY:
        known = model(version).types.get(str(route.body))
        named = [*(known.properties if known else ()), *(good(route, everything) or ())]
        for body in ({}, dict.fromkeys(named), {"colour": "red", "": 1, "\0": {"a": [{}]}, "@odata.type": 5}):
            answer = _graph(everything, route).call(route.method, _path(everything, version, route), body)
            _check(answer, (label(version, route), body, answer.status, answer.body))
            if answer.status == 400:
                message = answer.body["error"]["message"]
                assert answer.body["error"].get("target") or "'" in message, (label(version, route), message)


def test_unknown_members_are_ignored(everything: Everything) -> None:
    for version, route in _TYPED:
        if not route.returns or route.status not in (200, 201):
            continue
        path, graph = f"/{version}{everything.keys(route.path)}", _graph(everything, route)
        plain = graph.call(route.method, path, good(route, everything))
        more = {"colour": {"x": [1]}, "userSettingsPersistenceEnabled": 5, "@odata.context": "x", "x@odata.bind": []}
        answer = graph.call(route.method, path, {**(good(route, everything) or {}), **more})
        if route.path.endswith("/assignments"):
            continue  # the second of the same is refused
        assert answer.status == plain.status, (label(version, route), answer.body)
        assert "colour" not in answer.body


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", _KEYS)
def test_keys_that_name_nothing(everything: Everything, case: str) -> None:
    """In every place for a key, in both forms of writing it."""
    for version, route in routes():
        if version == "v1.0" or route.path.startswith("/me/"):
            continue
        places = [m.start() for m in re.finditer(re.escape(KEY), route.path)]
        for place in places[-1:]:
            before, after = route.path[:place], route.path[place + len(KEY) :]
            begin = everything.keys(before.rstrip("/")) if KEY in before else before.rstrip("/")
            body = good(route, everything) if route.method in ("POST", "PATCH") else None
            for key in (f"/{_KEYS[case]}", f"('{_KEYS[case]}')")[: 2 if route.path.endswith(KEY) else 1]:
                answer = _graph(everything, route).call(
                    route.method, f"/{version}{begin}{key}{after}{arguments(route, everything)}", body
                )
                _refused(answer, (label(version, route), key, answer.status, answer.body))


_OPTIONS = [
    "$filter=displayName eq '%00'",
    "$filter=id eq '%ed%a0%80'",
    "$filter=" + quote("id eq ''; DROP TABLE users --'"),
    "$filter=" + quote("id eq 'x') or (1 eq 1"),
    "$filter=" + quote("startswith(displayName,'%_\\') or contains(id,'\\')"),
    "$filter=" + quote("(" * 500 + "id eq 'x'" + ")" * 500),
    "$filter=id%20eq%20" + "9" * 400,
    "$filter=createdDateTime gt 99999-01-01T00:00:00Z",
    "$filter=not",
    "$filter=%F0%9F%92%A9",
    "$filter=a/any(x:x/b/any(y:y eq x))",
    "$orderby=" + quote("id; DROP TABLE users"),
    "$orderby=(SELECT 1)",
    "$orderby=" + ",".join(["id"] * 200),
    "$select=" + quote("*,(SELECT password FROM users)"),
    "$expand=" + quote("a($expand=" * 40),
    "$expand=%00",
    "$search=%00",
    "$search=" + quote('"' + "\\" * 999),
    "$search=" + quote('"displayName:%_\\"'),
    "$top=-1",
    "$top=99999999999999999999",
    "$skip=-5",
    "$skiptoken=AAAA",
    "$skiptoken=WyJhIiwiYiJd",
    "$skiptoken=" + quote("'; DROP TABLE users"),
    "$count=maybe",
    "$format=xml",
    "$frobnicate=1",
    "%ff=%fe",
    "&&&===",
    "$filter=" + "x" * 31_000,
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("option", _OPTIONS, ids=range(len(_OPTIONS)))
def test_options_that_cannot_be(everything: Everything, option: str) -> None:
    for version, route in routes("GET"):
        same = route.path.startswith(("/me/", "/users/{id}/cloudPCs")) or "transitive" in route.path
        if version == "v1.0" or same or not str(route.returns).startswith("Collection("):
            continue
        path = f"/{version}{everything.keys(route.path)}{arguments(route, everything)}?{option}"
        answer = _graph(everything, route).get(path)
        _check(answer, (label(version, route), option[:60], answer.status, answer.body))


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "given", ["'", "groupId=", "groupId='%00'", "groupId='x',servicePlanId='%ff'", "=,=", "(" * 90]
)
def test_arguments_that_cannot_be(everything: Everything, given: str) -> None:
    for version, route in routes("GET"):
        if version == "v1.0" or "{id}" in route.path.rpartition("/")[2] or route.path.startswith("/me"):
            continue
        answer = _graph(everything, route).get(f"/{version}{everything.keys(route.path)}({given})")
        _check(answer, (label(version, route), given, answer.status, answer.body))


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "path",
    ["/", "//", "/%00", "/%2e%2e/%2e%2e/etc/passwd", "/" + "a/" * 2000, "/" + "x" * 9000, "/users/$ref", "/('x')",
     "/%f0%9f%92%a9", "/users%2f", "/users;a=b", "/users/{id}", "/deviceManagement/virtualEndpoint/cloudPCs()()"],
)  # fmt: skip
def test_paths_that_lead_nowhere(everything: Everything, path: str) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "FROBNICATE"):
        answer = everything.graph.call(method, f"/beta{path}", {} if method in ("POST", "PATCH") else None)
        if method != "HEAD":
            _check(answer, (method, path, answer.status, answer.body))
        if method == "HEAD":
            assert answer.status < 500
