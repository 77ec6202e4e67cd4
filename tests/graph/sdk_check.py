"""An answer held against the types as Microsoft's own Python SDKs have them, not against our copy of the contract.

The SDKs are generated classes: each tells, member by member, how it would be read (`get_field_deserializers`). A node
that only remembers what is asked of it turns that into a description. What must not be null is the one thing they do
not know: that is looked up in the contract.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any
from uuid import UUID

from deskwright.graph.contract import model

_PACKAGES = {"v1.0": "msgraph.generated.models", "beta": "msgraph_beta.generated.models"}
_CAPITAL = re.compile(r"(?<!^)([A-Z])")


class _Node:
    """Stands for a JSON value; keeps how it was asked for: ``("get_object_value", class)``."""

    asked: tuple[str, Any] = ("", None)

    def __getattr__(self, name: str) -> Callable[..., None]:
        def keep(kind: Any = None) -> None:
            self.asked = (name, kind)

        return keep


@cache
def class_of(version: str, type_name: str) -> type:
    """The SDK's class of a type such as ``cloudPC`` or ``deviceManagement.alertRule``."""
    *spaces, name = type_name.removeprefix("#microsoft.graph.").split(".")
    module = ".".join(_CAPITAL.sub(r"_\1", part).lower() for part in (*spaces, name))
    class_name = name[0].upper() + name[1:]
    there = import_module(f"{_PACKAGES[version]}.{module}")
    if not hasattr(there, class_name):  # `deviceManagement` is a type and a namespace
        there = import_module(f"{_PACKAGES[version]}.{module}.{module}")
    found: type = getattr(there, class_name)
    return found


@cache
def _members(class_: type) -> dict[str, tuple[str, Any]]:
    """Member -> how the SDK reads it."""
    described = {}
    for name, read in class_().get_field_deserializers().items():
        node = _Node()
        read(node)
        described[name] = node.asked
    return described


def faults(version: str, type_name: str, answer: Any) -> list[str]:
    """What the SDK of `version` would not read, or read wrongly; empty: nothing. `type_name` as routes have it."""
    if type_name.startswith("Collection("):
        inner = type_name[len("Collection(") : -1]
        values = answer.get("value") if isinstance(answer, Mapping) else None
        if not isinstance(values, list):
            return [f"the answer is no collection: {answer!r:.100}"]
        return [fault for n, value in enumerate(values) for fault in _value(version, inner, value, f"[{n}]")]
    return list(_value(version, type_name, answer, type_name))


def _value(version: str, type_name: str, value: Any, path: str) -> Iterator[str]:
    if type_name == "String":
        yield from () if isinstance(value, str) else (f"{path} is {value!r:.60}, not a string",)
    else:
        yield from _object(version, class_of(version, type_name), type_name, value, path)


def _object(version: str, class_: type, type_name: str, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} is {value!r:.60}, not an object"
        return
    said = value.get("@odata.type")
    if said is not None:
        try:
            type_name = str(said).removeprefix("#microsoft.graph.")
            derived = class_of(version, type_name)
        except (ImportError, AttributeError):
            yield f"{path}/@odata.type is {said!r}, which the SDK does not have"
            return
        if not issubclass(derived, class_):
            yield f"{path}/@odata.type is {said!r}, which is no {class_.__name__}"
        class_ = derived
    type_ = model(version).types.get(type_name)
    for name, inner in value.items():
        if "@odata." in name:
            continue
        if name not in _members(class_):
            yield f"{path}/{name} is no member of {class_.__name__}"
            continue
        required = type_ is not None and name in type_.properties and not type_.properties[name].nullable
        if inner is None:
            if required:
                yield f"{path}/{name} must not be null"
            continue
        yield from _member(version, *_members(class_)[name], inner, f"{path}/{name}")


def _member(version: str, read: str, kind: Any, value: Any, path: str) -> Iterator[str]:
    if read.startswith("get_collection_of_"):
        if not isinstance(value, list):
            yield f"{path} is {value!r:.60}, not a list"
            return
        for n, item in enumerate(value):
            yield from _one(version, read, kind, item, f"{path}[{n}]")
    else:
        yield from _one(version, read, kind, value, path)


def _one(version: str, read: str, kind: Any, value: Any, path: str) -> Iterator[str]:
    if "object" in read:
        # create_from_discriminator_value of the class is handed over as the class itself.
        name = kind.__name__
        own = kind.__module__.removeprefix(_PACKAGES[version]).strip(".").split(".")[:-1]
        space = "".join(re.sub(r"_(\w)", lambda m: m[1].upper(), part) + "." for part in own)
        yield from _object(version, kind, space + name[0].lower() + name[1:], value, path)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        if not isinstance(value, str) or value not in {member.value for member in kind}:
            yield f"{path} is {value!r:.60}, no member of {kind.__name__}"
    elif not _fits(kind.__name__ if kind is not None else read, value):
        yield f"{path} is {value!r:.60}, which {read} does not read"


def _fits(kind: str, value: Any) -> bool:
    word = kind.removeprefix("get_").removesuffix("_value")
    match word:
        case "str" | "bytes" | "timedelta" | "time":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "datetime":
            return isinstance(value, str) and _parsed(value) is not None and value.endswith("Z")
        case "date":
            return isinstance(value, str) and _reads(date.fromisoformat, value)
        case "uuid" | "UUID":
            return isinstance(value, str) and _reads(UUID, value)
    raise AssertionError(f"a way to read that is not known here: {kind}")


def _parsed(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _reads(read: Callable[[str], Any], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True
