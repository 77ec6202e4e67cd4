"""Who serves which call: the table of routes, and finding one by a path as clients write it.

Clients write paths in any case, with a slash at the end, keys as ``/set/id`` or ``/set('id')``, functions with and
without brackets or their namespace. All of that ends here: a handler sees keys and arguments.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deskwright.graph.contract import VERSIONS, Model, model
from deskwright.graph.errors import GraphError, bad, not_found, not_served
from deskwright.graph.filters import storable

if TYPE_CHECKING:
    from deskwright.graph.call import Call

KEY = "{id}"
_ARGUMENT = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^']|'')*)'|([^,']*))\s*(?:,|$)")
_SEGMENT = re.compile(r"^([^(]+)(?:\((.*)\))?$", re.DOTALL)
_NAMESPACE = re.compile(r"^(?:microsoft\.graph\.)?(?:devicemanagement\.)?(?=\w+$)")


@dataclass(frozen=True)
class Access:
    """Who may call: any one of `scopes`; `own`: a person also for what is their own, without a role."""

    scopes: tuple[str, ...]
    own: bool = False
    delegated_only: bool = False


@dataclass(frozen=True)
class Route:
    """One call we serve. `path` is written as the contract writes it, keys as ``{id}``, functions without brackets."""

    method: str
    path: str
    serve: Callable[["Call"], Any]
    access: Access
    versions: tuple[str, ...]
    writes: bool
    summary: str
    body: str | None
    returns: str | None
    extra: bool
    """Not in the published contract; real clients send it all the same."""
    status: int
    """Of its answer when it succeeds."""


ROUTES: list[Route] = []
"""Every call we serve; the modules under `resources` fill it."""


def serves(
    method: str,
    path: str,
    access: Access,
    *,
    body: str | None = None,
    returns: str | None = None,
    versions: tuple[str, ...] = VERSIONS,
    writes: bool | None = None,
    extra: bool = False,
    status: int | None = None,
) -> Callable[[Callable[["Call"], Any]], Callable[["Call"], Any]]:
    """Register the decorated function for a call.

    `body` and `returns` are names of the contract's types (``Collection(cloudPC)``). `writes` is what the method says
    unless given: report actions are POSTs that read. Where the contract of a version does not know the path, that
    version does not serve it, but for `extra`. `status`, where it is not what follows from the rest: 201 for a POST
    whose body is of the type it returns, 204 for what is no GET and returns nothing, else 200.
    """

    def register(function: Callable[["Call"], Any]) -> Callable[["Call"], Any]:
        summary = (function.__doc__ or "").strip().split("\n")[0]
        changes = method != "GET" if writes is None else writes
        creates = method == "POST" and body is not None and body == returns
        answers = status or (201 if creates else 200 if returns or method == "GET" else 204)
        route = Route(method, path, function, access, versions, changes, summary, body, returns, extra, answers)
        ROUTES.append(route)
        return function

    return register


@dataclass
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    key: "_Node | None" = None
    name: str = ""
    routes: dict[str, Route] = field(default_factory=dict)
    unserved: dict[str, str] = field(default_factory=dict)
    """Method -> the call as the contract writes it."""
    generated: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Found:
    route: Route
    keys: tuple[str, ...]
    arguments: Mapping[str, str]


class Router:
    """The calls of one version."""

    def __init__(self, contract: Model, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self.version = contract.version
        known = set()
        for operation in contract.operations:
            node = self._node(operation.path)
            known.add(id(node))
            (node.generated.add if operation.generated else lambda m: None)(operation.method)
            if not operation.generated:
                node.unserved[operation.method] = f"{operation.method} {operation.path}"
        for route in routes:
            if self.version not in route.versions:
                continue
            node = self._node(route.path)
            # A path that this version's contract lacks is not there, like on Graph itself.
            if route.extra or id(node) in known:
                node.routes[route.method] = route
                node.unserved.pop(route.method, None)

    def find(self, method: str, path: str) -> Found:
        """The route, its keys from left to right and its function's arguments. Raises GraphError 404, 405, 501."""
        node, keys = self._root, list[str]()
        arguments: dict[str, str] = {}
        for segment in filter(None, path.split("/")):
            name, given = _split(unquote(segment))
            child = node.children.get(name.lower()) or node.children.get(_NAMESPACE.sub("", name.lower()))
            if child is None and node.key is not None:
                node = node.key
                keys.append(unquote(segment))
                continue
            if child is None:
                raise GraphError(404, "BadRequest", f"Resource not found for the segment '{name}'.", target=name)
            node = child
            if given is None or not given.strip():
                continue
            if node.key is not None and "=" not in given:
                node = node.key
                keys.append(_literal(given))
            else:
                arguments |= _arguments(given)
        _must_be_texts(node, keys, arguments)
        if method in node.routes:
            return Found(node.routes[method], tuple(keys), arguments)
        if method in node.unserved:
            raise not_served(node.unserved[method])
        allowed = sorted({*node.routes, *node.unserved})
        if not allowed and not node.generated:
            raise GraphError(404, "BadRequest", f"Resource not found for the segment '{node.name}'.", target=node.name)
        raise GraphError(
            405, "MethodNotAllowed", f"{method} is not allowed on this resource.", headers={"Allow": ", ".join(allowed)}
        )

    def serving(self, method: str, path: str) -> Route | None:
        """Who serves a call of the contract, written as there."""
        return self._node(path).routes.get(method)

    def _node(self, path: str) -> _Node:
        node = self._root
        for segment in filter(None, path.split("/")):
            if segment == KEY:
                node.key = node.key or _Node(name=node.name)
                node = node.key
                continue
            name = _NAMESPACE.sub("", _split(segment)[0].lower())
            node = node.children.setdefault(name, _Node(name=segment))
        return node


def router(version: str) -> Router:
    return Router(model(version), ROUTES)


def _must_be_texts(node: _Node, keys: Iterable[str], arguments: Mapping[str, str]) -> None:
    """What no column can hold names nothing, and is never asked of the database."""
    for key in keys:
        if not storable(key):
            raise not_found(node.name, ascii(key)[1:-1])
    for name, value in arguments.items():
        if not storable(name + value):
            raise bad("The function's arguments hold a character that no text can, such as U+0000.", ascii(name)[1:-1])


def _split(segment: str) -> tuple[str, str | None]:
    found = _SEGMENT.match(segment)
    if found is None:
        return segment, None
    return found.group(1), found.group(2)


def _literal(text: str) -> str:
    text = text.strip()
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text


def _arguments(text: str) -> dict[str, str]:
    found, at = {}, 0
    while at < len(text):
        match = _ARGUMENT.match(text, at)
        if match is None or match.end() == at:
            raise bad(f"The function's arguments '{text}' cannot be read.", "arguments")
        name, quoted, bare = match.groups()
        found[name.lower()] = quoted.replace("''", "'") if quoted is not None else (bare or "").strip()
        at = match.end()
    return found
