"""The API as data: types, enumerations and operations of `v1.0` and `beta`.

The JSON files beside this are condensed from Microsoft's published metadata (microsoftgraph/msgraph-metadata and the
generated SDKs, both MIT-licensed) by `python -m deskwright.graph.contract.condense`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

VERSIONS = ("v1.0", "beta")


@dataclass(frozen=True)
class Property:
    name: str
    type: str
    """``String``, ``Int32``, ``DateTimeOffset`` … for a primitive one, else the name of a type or enumeration."""
    collection: bool = False
    nullable: bool = True
    select_only: bool = False
    """Answered only when `$select` names it."""


@dataclass(frozen=True)
class Type:
    """An entity or complex type, with what it inherits."""

    name: str
    base: str | None
    entity: bool
    properties: Mapping[str, Property]
    navigation: Mapping[str, Property]

    @cached_property
    def by_lower(self) -> dict[str, Property]:
        """Properties by their name in lower case: clients send any."""
        return {name.lower(): p for name, p in self.properties.items()}


@dataclass(frozen=True)
class Enumeration:
    name: str
    members: tuple[str, ...]

    @cached_property
    def by_lower(self) -> dict[str, str]:
        return {m.lower(): m for m in self.members}

    @cached_property
    def later(self) -> frozenset[str]:
        """Members declared after ``unknownFutureValue``: told only to who asks for them by `Prefer`."""
        if "unknownFutureValue" not in self.members:
            return frozenset()
        return frozenset(self.members[self.members.index("unknownFutureValue") + 1 :])


@dataclass(frozen=True)
class Operation:
    """A call the SDKs can make. Keys in the path are written ``{id}``, functions ``name(parameter=)``."""

    method: str
    path: str
    returns: str | None
    generated: bool
    """Only the generator knows it: the set is read-only, the reference documents no such call."""


@dataclass(frozen=True)
class Model:
    version: str
    types: Mapping[str, Type]
    enumerations: Mapping[str, Enumeration]
    operations: tuple[Operation, ...]


@cache
def model(version: str) -> Model:
    """The model of ``v1.0`` or ``beta``."""
    kept = json.loads(files(__name__).joinpath(f"{version}.json").read_text(encoding="utf-8"))
    types: dict[str, Type] = {}
    for name in kept["types"]:
        _type(name, kept["types"], types)
    enumerations = {name: Enumeration(name, tuple(members)) for name, members in kept["enumerations"].items()}
    operations = tuple(Operation(**o) for o in kept["operations"])
    return Model(version, types, enumerations, operations)


def _type(name: str, kept: Mapping[str, Any], made: dict[str, Type]) -> Type:
    if name not in made:
        own = kept[name]
        base = _type(own["base"], kept, made) if own["base"] in kept else None
        properties = {**(base.properties if base else {}), **_properties(own["properties"])}
        navigation = {**(base.navigation if base else {}), **_properties(own["navigation"])}
        made[name] = Type(name, own["base"], own["entity"], properties, navigation)
    return made[name]


def _properties(kept: Mapping[str, str]) -> dict[str, Property]:
    """From ``name: "Collection(type)! selectOnly"``: ``!`` is not nullable."""
    made = {}
    for name, said in kept.items():
        type_, *flags = said.split()
        nullable = not type_.endswith("!")
        type_ = type_.rstrip("!")
        collection = type_.startswith("Collection(")
        type_ = type_.removeprefix("Collection(").removesuffix(")")
        made[name] = Property(name, type_, collection, nullable, "selectOnly" in flags)
    return made
