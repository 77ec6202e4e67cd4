"""The OpenAPI document of a version, from the table of routes and the contract."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from deskwright import __version__
from deskwright.graph import resources
from deskwright.graph.bodies import LARGEST
from deskwright.graph.call import LARGEST_PAGE
from deskwright.graph.contract import Model, Property, Type, model
from deskwright.graph.coverage import set_of
from deskwright.graph.errors import CONFIRM_HEADER
from deskwright.graph.routes import KEY, ROUTES, Route

_PRIMITIVE: dict[str, dict[str, Any]] = {
    "String": {"type": "string"},
    "Boolean": {"type": "boolean"},
    "Byte": {"type": "integer", "minimum": 0, "maximum": 255},
    "Int16": {"type": "integer", "minimum": -(2**15), "maximum": 2**15 - 1},
    "Int32": {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    "Int64": {"type": "integer", "format": "int64"},
    "Single": {"type": "number"},
    "Double": {"type": "number"},
    "Decimal": {"type": "number"},
    "Guid": {"type": "string", "format": "uuid"},
    "DateTimeOffset": {"type": "string", "format": "date-time"},
    "Date": {"type": "string", "format": "date"},
    "TimeOfDay": {"type": "string"},
    "Duration": {"type": "string", "format": "duration"},
    "Binary": {"type": "string", "contentEncoding": "base64"},
}
_STATUSES = {
    400: "The request is not as it must be; the error names the part.",
    401: "No valid access token.",
    403: "The token lacks a permission, or the person a role.",
    404: "No such object in this tenant.",
    405: "The resource does not have this method.",
    409: "The object's state or another object does not allow it, or it wants a confirmation.",
    413: f"The body is larger than {LARGEST} bytes.",
    415: "The body is not application/json.",
    429: "Too many requests; see Retry-After.",
    501: "Not possible here yet. No change was made.",
    503: "The database does not answer; see Retry-After.",
}
_READING = (400, 401, 403, 404, 405, 429, 501, 503)
_SUCCESS = {200: "Done.", 201: "Created.", 202: "Accepted; it goes on by itself.", 204: "Done; no content."}
_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "select": ({"type": "string"}, "Properties to answer, separated by commas; * is all of them."),
    "filter": ({"type": "string"}, "A condition, such as status eq 'provisioned'."),
    "expand": ({"type": "string"}, "Navigation properties to answer too."),
    "orderby": ({"type": "string"}, "Properties to sort by, each with asc or desc."),
    "top": ({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}, "How many at most."),
    "skip": ({"type": "integer", "minimum": 0, "maximum": 1_000_000}, "How many to leave out first."),
    "count": ({"type": "boolean"}, "Whether to say how many there are."),
    "search": ({"type": "string"}, "Words to look for in names."),
    "skiptoken": ({"type": "string"}, "From @odata.nextLink."),
}
_OF_ONE, _OF_COUNT = ("select", "expand"), ("filter", "search")
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "innerError"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "target": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
                "innerError": {
                    "type": "object",
                    "required": ["date", "request-id", "client-request-id"],
                    "properties": {
                        "date": {"type": "string"},
                        "request-id": {"type": "string"},
                        "client-request-id": {"type": "string"},
                    },
                },
            },
        }
    },
}
_REFERENCE = {
    "type": "object",
    "required": ["@odata.id"],
    "properties": {"@odata.id": {"type": "string", "description": "https://…/directoryObjects/{id}"}},
}
_ARGUMENT = re.compile(r"(\w+)='\{id\}'")
_NAMESPACE = re.compile(r"^(?:microsoft\.graph\.)?(?:devicemanagement\.)?(?=\w+$)")


def document(version: str) -> dict[str, Any]:
    """What this version serves; what it answers 501 to is no part of it."""
    resources.load()
    contract = model(version)
    schemas = _Schemas(contract)
    written = {(o.method, _shape(o.path)): o for o in reversed(contract.operations)}
    shapes = {_shape(o.path) for o in contract.operations}
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(ROUTES, key=lambda r: (r.path.lower(), r.method)):
        shape = _shape(route.path)
        if version not in route.versions or not (route.extra or shape in shapes):
            continue
        published = written.get((route.method, shape))
        returns = route.returns or (published.returns if published and route.status != 204 else None)
        path, keys = _named(published.path if published else route.path)
        item = paths.setdefault(path, {})
        item[route.method.lower()] = _operation(route, path, keys, returns, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Microsoft Graph {version}, as Deskwright serves it",
            "version": __version__,
            "description": "Paths in any case, keys as /set/id or /set('id'), functions with or without brackets. "
            "Calls of the published contract that are not here answer 501.",
        },
        "servers": [{"url": f"/{version}"}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items(), key=lambda item: item[0].lower())),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": dict(_parameters()),
            "responses": {
                str(status): {"description": said, "content": _json({"$ref": "#/components/schemas/error"})}
                for status, said in _STATUSES.items()
            },
            "schemas": {"error": _ERROR, **schemas.all()},
        },
    }


def text(document: dict[str, Any]) -> str:
    """The document with a line for each operation and each component: small, and yet a difference can be read."""

    def lines(value: Any, depth: int, indent: str) -> str:
        if depth == 0 or not isinstance(value, dict) or not value:
            return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
        inside = (f"{indent} {json.dumps(k)}: {lines(v, depth - 1, indent + ' ')}" for k, v in value.items())
        return "{\n" + ",\n".join(inside) + f"\n{indent}}}"

    return lines(document, 3, "") + "\n"


def _operation(route: Route, path: str, keys: list[str], returns: str | None, schemas: "_Schemas") -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": key, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for key in keys
    ]
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in _options(route, path, returns)]
    if route.writes:
        parameters.append({"$ref": "#/components/parameters/confirm"})
    found: dict[str, Any] = {
        "operationId": _id(route.method, path),
        "tags": [set_of(path)],
        "summary": route.summary,
        "description": f"Needs {' or '.join(route.access.scopes)}.",
        "parameters": parameters,
    }
    if route.method in ("POST", "PATCH", "PUT"):
        found["requestBody"] = {"required": route.body is not None, "content": _json(schemas.body(route.body))}
    refusals = _STATUSES if route.method != "GET" else _READING
    found["responses"] = {
        str(route.status): _success(route.status, returns, path, schemas),
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in refusals},
    }
    return found


def _success(status: int, returns: str | None, path: str, schemas: "_Schemas") -> dict[str, Any]:
    told: dict[str, Any] = {"description": _SUCCESS[status]}
    if path.endswith("/$count"):
        return {**told, "content": {"text/plain": {"schema": {"type": "string", "pattern": r"^\d+$"}}}}
    if returns in ("Binary", "Stream"):
        return {**told, "content": {"application/octet-stream": {}}}
    if returns is None or status == 204:
        return told
    return {**told, "content": _json(schemas.answer(returns))}


def _options(route: Route, path: str, returns: str | None) -> Iterable[str]:
    if route.method != "GET" or returns in (None, "Binary", "Stream"):
        return ()
    if path.endswith("/$count"):
        return _OF_COUNT
    return _OPTIONS if str(returns).startswith("Collection(") else _OF_ONE


def _parameters() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (schema, said) in _OPTIONS.items():
        yield name, {"name": f"${name}", "in": "query", "required": False, "description": said, "schema": schema}
    said = "`true` confirms what the safety brake has stopped with 409 confirmationRequired."
    header = {"name": CONFIRM_HEADER, "in": "header", "required": False, "description": said}
    yield "confirm", {**header, "schema": {"type": "string", "enum": ["true", "false"]}}


def _named(path: str) -> tuple[str, list[str]]:
    """The path with a name for each key (``{cloudPC-id}``) and for each argument of a function, and these names."""
    keys: list[str] = []
    out: list[str] = []

    def add(name: str) -> str:
        while name in keys:
            name += "-2"
        keys.append(name)
        return "{" + name + "}"

    for segment in path.split("/"):
        if segment == KEY:
            out.append(add(f"{_singular(out[-1])}-id"))
        else:
            out.append(_ARGUMENT.sub(lambda m: f"{m[1]}='{add(m[1])}'", segment))
    return "/".join(out), keys


def _singular(word: str) -> str:
    word = word.split("(")[0]
    return word.removesuffix("ies") + "y" if word.endswith("ies") else word.removesuffix("s")


def _shape(path: str) -> tuple[str, ...]:
    """What makes two spellings of a path the same."""
    return tuple(_NAMESPACE.sub("", s.split("(")[0].lower()) for s in path.split("/") if s)


def _id(method: str, path: str) -> str:
    words = [w for w in re.split(r"\W+", path) if w]
    return ".".join([*words, method.lower()])


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


class _Schemas:
    """The contract's types as JSON schemas: those that are used, with what they are made of."""

    def __init__(self, contract: Model) -> None:
        self._contract = contract
        self._used: dict[str, None] = {}

    def body(self, name: str | None) -> dict[str, Any]:
        if name == "ReferenceCreate":
            return _REFERENCE
        return self._of(name) if name is not None and name in self._contract.types else {"type": "object"}

    def answer(self, returns: str) -> dict[str, Any]:
        inner = returns.removeprefix("Collection(").removesuffix(")")
        if inner == returns:
            if inner in self._contract.types:
                return self._of(inner)
            return {"type": "object", "properties": {"value": self._of(inner)}}
        properties = {
            "@odata.context": {"type": "string"},
            "@odata.count": {"type": "integer"},
            "@odata.nextLink": {"type": "string"},
            "value": {"type": "array", "items": self._of(inner)},
        }
        return {"type": "object", "required": ["value"], "properties": properties}

    def all(self) -> dict[str, Any]:
        """Every schema that was referred to, also by another."""
        made: dict[str, Any] = {}
        while missing := [name for name in self._used if name not in made]:
            made |= {name: self._schema(name) for name in missing}
        return dict(sorted(made.items()))

    def _of(self, name: str) -> dict[str, Any]:
        if name in _PRIMITIVE:
            return _PRIMITIVE[name]
        if name not in self._contract.types and name not in self._contract.enumerations:
            return {}
        self._used[f"microsoft.graph.{name}"] = None
        return {"$ref": f"#/components/schemas/microsoft.graph.{name}"}

    def _schema(self, full: str) -> dict[str, Any]:
        name = full.removeprefix("microsoft.graph.")
        if name in self._contract.enumerations:
            return {"type": "string", "enum": list(self._contract.enumerations[name].members)}
        type_: Type = self._contract.types[name]
        properties = {p.name: self._property(p) for p in type_.properties.values()}
        expanded = {p.name: self._property(p, expanded=True) for p in type_.navigation.values()}
        return {"type": "object", "properties": {"@odata.type": {"type": "string"}, **properties, **expanded}}

    def _property(self, property_: Property, *, expanded: bool = False) -> dict[str, Any]:
        one = self._of(property_.type)
        if property_.collection:
            found: dict[str, Any] = {"type": "array", "items": one}
        elif not property_.nullable or not one:
            found = one
        elif "type" in one:
            found = {**one, "type": [one["type"], "null"]}
        else:
            found = {"anyOf": [one, {"type": "null"}]}
        if expanded:
            return {**found, "description": "By $expand."} if "$ref" not in found else found
        return {**found, "description": "By $select."} if property_.select_only and "$ref" not in found else found
