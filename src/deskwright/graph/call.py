"""A call as its handler sees it: who asks, for which tenant, with which keys, options and body."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from deskwright.graph.contract import Model, Type
from deskwright.graph.errors import bad, not_found
from deskwright.graph.filters import storable
from deskwright.identity.caller import Caller
from deskwright.operations.change import TenantRef
from deskwright.operations.named import as_id
from deskwright.provision.context import World

LARGEST_PAGE = 999
PAGE = 100
_OPTIONS = ("select", "filter", "expand", "orderby", "top", "skip", "count", "search", "skiptoken", "format")
_NAME = re.compile(r"^\w+$")


@dataclass(frozen=True)
class Options:
    """The query options of a call, or of one `$expand`."""

    select: frozenset[str] | None = None
    """Names in lower case; None: what is answered by default; with ``*`` in it: everything."""
    filter: str | None = None
    expand: Mapping[str, "Options"] = field(default_factory=dict)
    """Navigation properties in lower case, or ``*``."""
    orderby: tuple[tuple[str, bool], ...] = ()
    """(name, descending)"""
    top: int | None = None
    skip: int = 0
    count: bool = False
    search: str | None = None
    skiptoken: str | None = None

    def wants(self, name: str) -> bool:
        """Whether this property is to be answered: what is dear is made only then."""
        return self.select is None or "*" in self.select or name.lower() in self.select


def options(given: Mapping[str, str]) -> Options:
    """Read query options; names in any case, with or without ``$``. Raises 400 naming the option."""
    found: dict[str, str] = {}
    for name, value in given.items():
        plain = name.lower().removeprefix("$")
        if plain in _OPTIONS:
            found[plain] = value
        elif name.startswith("$"):
            known = ", ".join(f"${o}" for o in _OPTIONS)
            raise bad(f"The query option '{name}' is not known; these are: {known}.", name)
    select = frozenset(s.strip().lower() for s in found.get("select", "").split(",") if s.strip())
    return Options(
        select=select or None,
        filter=found.get("filter", "").strip() or None,
        expand=_expand(found.get("expand", "")),
        orderby=_orderby(found.get("orderby", "")),
        top=_whole("$top", found.get("top"), 1),
        skip=_whole("$skip", found.get("skip"), 0) or 0,
        count=_truth("$count", found.get("count")),
        search=found.get("search", "").strip() or None,
        skiptoken=found.get("skiptoken") or None,
    )


@dataclass
class Call:
    """What a handler is given."""

    world: World
    model: Model
    caller: Caller
    keys: tuple[str, ...]
    arguments: Mapping[str, str]
    """A function's, by name in lower case."""
    options: Options
    body: Any
    """JSON, None where there is none."""
    url: str
    """The request's, for the next page."""
    root: str
    """``https://host/beta``"""
    confirmed: bool = False
    unknown_members: bool = False
    """``Prefer: include-unknown-enum-members``"""
    address: str = ""
    """The client's, for the audit log."""

    @property
    def tenant(self) -> TenantRef:
        return TenantRef(self.caller.tenant_id, self.caller.tenant_name)

    @property
    def actor(self) -> str:
        return self.caller.actor

    @property
    def change(self) -> tuple[Any, TenantRef, str]:
        """The first arguments of every function of `operations` that changes a noun."""
        return self.world.database, self.tenant, self.actor

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.world.database.single.connect() as connection:
            yield connection

    def key(self, what: str, position: int = -1) -> UUID:
        """A key of the path that must be an id; anything else names nothing, so 404."""
        found = as_id(self.keys[position])
        if found is None:
            raise not_found(what, self.keys[position])
        return found

    def type(self, name: str) -> Type:
        return self.model.types[name]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The body's members by their names in lower case, for actions. Raises 400 for anything but an object."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise bad("The request's body must be a JSON object.", "body")
        return {str(name).lower(): value for name, value in self.body.items()}

    def text(self, name: str) -> str:
        """A member of an action's body that must be there and be a string."""
        value = self.fields.get(name.lower())
        if not isinstance(value, str) or not value:
            said = "is missing" if value is None else f"must be a string, not {value!r:.60}"
            raise bad(f"The parameter '{name}' {said}.", name)
        if not storable(value):
            raise bad(f"'{name}' holds a character that no text can, such as U+0000.", name)
        return value


def _expand(text: str) -> dict[str, Options]:
    found: dict[str, Options] = {}
    for part in _outside_brackets(text, ","):
        name, bracket, inner = part.strip().partition("(")
        if not name:
            continue
        given = {}
        for option in _outside_brackets(inner.rstrip().removesuffix(")"), ";") if bracket else []:
            key, _, value = option.partition("=")
            given[key.strip()] = value.strip()
        if name != "*" and not _NAME.match(name.strip()):
            raise bad(f"'{name}' in $expand is not the name of a property.", "$expand")
        found[name.strip().lower()] = options(given)
    return found


def _outside_brackets(text: str, separator: str) -> list[str]:
    parts, depth, start, quoted = [], 0, 0, False
    for at, c in enumerate(text):
        if c == "'":
            quoted = not quoted
        elif not quoted and c in "()":
            depth += 1 if c == "(" else -1
        elif not quoted and c == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        if depth > 8:
            raise bad("$expand is nested too deeply; at most 8 levels.", "$expand")
    return [*parts, text[start:]] if text.strip() else []


def _orderby(text: str) -> tuple[tuple[str, bool], ...]:
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, direction = part.partition(" ")
        if direction.strip().lower() not in ("", "asc", "desc"):
            raise bad(f"'{part}' in $orderby must end with asc or desc.", "$orderby")
        found.append((name, direction.strip().lower() == "desc"))
    return tuple(found)


def _whole(name: str, value: str | None, least: int) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}", value.strip()) or int(value) < least:
        raise bad(f"{name} must be a whole number, {least} or more; it is '{value[:40]}'.", name)
    return int(value)


def _truth(name: str, value: str | None) -> bool:
    if value is not None and value.lower() not in ("true", "false"):
        raise bad(f"{name} must be true or false; it is '{value[:40]}'.", name)
    return value is not None and value.lower() == "true"
