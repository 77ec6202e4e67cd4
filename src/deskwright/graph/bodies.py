"""Reading entities from request bodies: names in any case, unknown members ignored, wrong types refused by name."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from deskwright.graph.call import Call
from deskwright.graph.contract import Model, Property, Type, model
from deskwright.graph.errors import GraphError, bad
from deskwright.graph.filters import storable

LARGEST = 1_000_000
"""Bytes of a request's body."""
_DEEPEST = 20
_GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_INTEGERS = {"Int16": 2**15, "Int32": 2**31, "Int64": 2**63}


def entity(call: Call, type_name: str, *, also: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The body as an entity: members by the contract's names, checked; those it does not know are left out.

    `also` names members beside the contract's, older or of the other version, and their type there: ``{"type":
    "String"}``. Navigation properties are read as what they are. Raises 400 naming the member, its value and type.
    """
    if not isinstance(call.body, dict):
        raise bad("The request's body must be a JSON object.", "body")
    return _structure(call.model, call.type(type_name), call.body, "", also or {})


def newest(call: Call, type_name: str) -> dict[str, Any]:
    """The same by beta's contract, which knows both names of every pair: clients send old ones to v1.0 too."""
    return entity(replace(call, model=model("beta")), type_name)


def parameter(call: Call, name: str, kind: str, *, required: bool = True) -> Any:
    """A member of an action's body as a value of the contract's type `kind`: ``Int32``, ``Collection(String)`` …

    None where it may be left out and is. Raises 400 naming it, its value and type.
    """
    inner = kind.removeprefix("Collection(").removesuffix(")")
    value = _value(call.model, Property(name, inner, inner != kind), call.fields.get(name.lower()), name, 0)
    if value is None and required:
        raise bad(f"The parameter '{name}' is missing.", name)
    return value


def must_be_texts(body: Any) -> None:
    """Raise 400 naming the first text in a parsed body, names of members among them, that no column can hold."""
    waiting = [("", body)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str) and not storable(value):
            raise bad(f"'{path or 'body'}' holds a character that no text can, such as U+0000.", path or "body")
        if isinstance(value, dict):
            for name, inner in value.items():
                at = f"{path}/{ascii(name)[1:-1]}".lstrip("/")
                waiting += [(at, name), (at, inner)]
        elif isinstance(value, list):
            waiting += [(f"{path}[{n}]", item) for n, item in enumerate(value)]


def _structure(
    model: Model,
    type_: Type,
    given: Mapping[str, Any],
    path: str,
    also: Mapping[str, str] | None = None,
    depth: int = 0,
) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise bad(f"The request's body is nested too deeply at '{path}'.", path)
    said = given.get("@odata.type")
    if isinstance(said, str):
        type_ = model.types.get(said.lstrip("#").removeprefix("microsoft.graph."), type_)
    members = {**type_.by_lower, **{n.lower(): p for n, p in type_.navigation.items()}}
    for name, kind in (also or {}).items():
        collection = kind.startswith("Collection(")
        inner = kind.removeprefix("Collection(").removesuffix(")")
        members.setdefault(name.lower(), Property(name, inner, collection))
    found: dict[str, Any] = {}
    for name, value in given.items():
        property_ = members.get(str(name).lower())
        if property_ is not None:
            at = f"{path}/{property_.name}" if path else property_.name
            found[property_.name] = _value(model, property_, value, at, depth)
    if isinstance(said, str):
        found["@odata.type"] = said
    return found


def _value(model: Model, property_: Property, value: Any, path: str, depth: int) -> Any:
    if value is None:
        return None
    if not property_.collection:
        return _one(model, property_.type, value, path, depth)
    if value == {}:  # scripts write an empty object for an empty list
        return []
    if isinstance(value, str) and property_.type in model.enumerations:
        value = [word.strip() for word in value.split(",")]  # it was one value of several flags once
    if not isinstance(value, list):
        raise _wrong(path, value, f"a list of {property_.type}")
    return [_one(model, property_.type, item, f"{path}[{n}]", depth) for n, item in enumerate(value)]


def _one(model: Model, type_name: str, value: Any, path: str, depth: int) -> Any:
    if type_name in model.types:
        if value == []:  # and an empty list for an empty object
            return {}
        if not isinstance(value, dict):
            raise _wrong(path, value, f"an object of type microsoft.graph.{type_name}")
        return _structure(model, model.types[type_name], value, path, depth=depth + 1)
    if type_name in model.enumerations:
        known = model.enumerations[type_name].by_lower
        if not isinstance(value, str) or value.lower() not in known:
            raise _wrong(path, value, f"one of {', '.join(known.values())}")
        return known[value.lower()]
    return _primitive(type_name, value, path)


def _primitive(type_name: str, value: Any, path: str) -> Any:
    if type_name in _INTEGERS:
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not -_INTEGERS[type_name] <= value < _INTEGERS[type_name]
        ):
            raise _wrong(path, value, f"a whole number ({type_name})")
    elif type_name in ("Double", "Single", "Decimal"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(path, value, "a number")
    elif type_name == "Boolean":
        if not isinstance(value, bool):
            raise _wrong(path, value, "true or false")
    elif not isinstance(value, str):
        raise _wrong(path, value, f"a string ({type_name})")
    elif not storable(value):
        raise bad(f"'{path}' holds a character that no text can, such as U+0000.", path)
    elif type_name == "Guid" and not _GUID.match(value):
        raise _wrong(path, value, "a GUID")
    elif type_name == "DateTimeOffset":
        try:
            given = datetime.fromisoformat(value)
            return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise _wrong(path, value, "a time such as 2026-01-31T08:00:00Z") from None
    return value


def _wrong(path: str, value: Any, wanted: str) -> GraphError:
    return bad(f"The value {value!r:.80} of '{path}' is not {wanted}.", path)
