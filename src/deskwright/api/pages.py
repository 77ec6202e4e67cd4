"""The documentation page: every call of the three OpenAPI documents, made on the server.

Its one script adds a form to each call, to send it from there; all else works without.
"""

import base64
import hashlib
import shlex
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from deskwright.api import app
from deskwright.graph import openapi as graph
from deskwright.graph.contract import VERSIONS

DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "deskwright": app.openapi,
    **{version: partial(graph.document, version) for version in VERSIONS},
}
"""Name -> the OpenAPI document; the name is also the first part of its paths."""

_environment = Environment(loader=PackageLoader("deskwright.api"), autoescape=True, undefined=StrictUndefined)


@cache
def openapi_json(name: str) -> bytes:
    """The document as it is served, and kept in docs/reference/openapi."""
    return graph.text(DOCUMENTS[name]()).encode()


@cache
def page(name: str) -> bytes:
    """The page about one document, as HTML."""
    told = DOCUMENTS[name]()
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in told["paths"].items():
        for method, operation in item.items():
            full = told["servers"][0]["url"] + path
            groups.setdefault(operation["tags"][0], []).append(_operation(method.upper(), full, operation, told))
    template = _environment.get_template("docs.html")
    schemas = [(n, list(_members(s))) for n, s in told["components"]["schemas"].items()]
    return template.render(
        name=name,
        names=list(DOCUMENTS),
        info=told["info"],
        groups=groups,
        schemas=schemas,
        style=_style(),
        script=_script(),
    ).encode()


@cache
def policy() -> str:
    """The page's Content-Security-Policy: nothing but its own style and script, and calls to where it came from."""
    return (
        f"default-src 'none'; style-src '{_hash(_style())}'; script-src '{_hash(_script())}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _script() -> str:
    return _environment.get_template("docs.js").render()


@cache
def _style() -> str:
    return _environment.get_template("docs.css").render()


def _operation(method: str, path: str, operation: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    parameters = [_resolved(p, told) for p in operation.get("parameters", ())]
    body = _resolved(operation.get("requestBody", {}), told).get("content", {})
    return {
        "id": operation["operationId"],
        "method": method,
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": [
            {
                "name": p["name"],
                "in": p["in"],
                "required": p.get("required", False),
                "type": type_of(p["schema"]),
                "said": p.get("description", ""),
            }
            for p in parameters
        ],
        "body": [(media, *_reference(content.get("schema", {}))) for media, content in body.items()],
        "answers": [
            (status, _resolved(r, told).get("description", ""), *_answer(_resolved(r, told)))
            for status, r in operation["responses"].items()
        ],
        "curl": _curl(method, path, parameters, body, signed="security" in operation or "security" in told),
    }


def _curl(method: str, path: str, parameters: list[dict[str, Any]], body: dict[str, Any], *, signed: bool) -> str:
    words = ["curl", "-sS"]
    if method != "GET":
        words += ["-X", method]
    if signed:
        words += ["-H", '"Authorization: Bearer $DESKWRIGHT_TOKEN"']
    if body:
        media = next(iter(body))
        words += ["-H", shlex.quote(f"Content-Type: {media}")]
        words += ["-d", "'{}'"] if media == "application/json" else ["--data-binary", "@TENANT.yaml"]
    return " ".join([*words, '"$DESKWRIGHT_URL"' + shlex.quote(path.replace("'", "%27"))])


def _answer(response: dict[str, Any]) -> tuple[str, str | None]:
    for content in response.get("content", {}).values():
        return _reference(content.get("schema", {}))
    return "", None


def _reference(schema: dict[str, Any]) -> tuple[str, str | None]:
    """What a schema is called, and the anchor of it where it has one."""
    inner = schema
    while True:
        if "$ref" in inner:
            return type_of(schema), inner["$ref"].rpartition("/")[2]
        value = inner.get("properties", {}).get("value", {})
        following = inner.get("items") or value.get("items") or next(iter(inner.get("anyOf", ())), None)
        if not following:
            return type_of(schema), None
        inner = following


def _members(schema: dict[str, Any]) -> Iterator[tuple[str, str, str, str | None]]:
    """(property, type, what is said of it, anchor); of an enumeration: its members."""
    for word in schema.get("enum", ()):
        yield str(word), "", "", None
    for name, inner in schema.get("properties", {}).items():
        type_, anchor = _reference(inner)
        yield name, type_, inner.get("description", ""), anchor


def type_of(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2].removeprefix("microsoft.graph."))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(s) for s in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if "value" in schema.get("properties", {}):
        return type_of(schema["properties"]["value"])
    if "enum" in schema:
        return " | ".join(str(word) for word in schema["enum"])
    kind = schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return words + (f" ({schema['format']})" if "format" in schema else "")


def _resolved(value: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    found: Any = told
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    resolved: dict[str, Any] = found
    return resolved
