"""Writing entities as the contract of the call's version has them.

A handler gives what it knows, by the property's name. What the version does not know is left out (a v1.0 Cloud PC has
no status), what the handler does not know is null or an empty list, and an enumeration's later members are told only
to clients that asked for them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

from deskwright.graph.call import Call, Options
from deskwright.graph.contract import Model, Type, model
from deskwright.graph.errors import bad

Known = Mapping[str, Any]
"""Property names to values; ``@odata.type`` names a derived type, navigation properties only where expanded."""
_AS_THEY_ARE = (str, int, bool, float)


def entity(call: Call, type_name: str, known: Known, options: Options | None = None) -> dict[str, Any]:
    """One entity, with what `$select` and `$expand` ask for. Raises 400 for a name the type does not have."""
    return entities(call, type_name, [known], options)[0]


def entities(
    call: Call, type_name: str, known: Iterable[Known], options: Options | None = None
) -> list[dict[str, Any]]:
    """The same for a page of them."""
    wanted, contract = options or call.options, call.model
    checked: Type | None = None
    told = []
    for item in known:
        type_ = _type(contract, type_name, item)
        if type_ is not checked:
            check(type_, wanted)
            checked = type_
        told.append(_structure(contract, type_, item, wanted, call.unknown_members))
    return told


def check(type_: Type, wanted: Options) -> None:
    """Raise 400 where `$select` or `$expand` names what the type does not have."""
    navigation = {name.lower() for name in type_.navigation}
    for name in wanted.select or ():
        plain = name.split("/")[0]
        if plain not in type_.by_lower and plain not in navigation and plain not in ("*", "@odata.type"):
            raise bad(f"Could not find a property named '{name}' on type 'microsoft.graph.{type_.name}'.", "$select")
    for name in wanted.expand:
        if name != "*" and name not in navigation:
            raise bad(
                f"Could not find a navigation property named '{name}' on type 'microsoft.graph.{type_.name}'.",
                "$expand",
            )


def complex_value(call: Call, type_name: str, known: Known) -> dict[str, Any]:
    """A value of a complex type, whole: what functions answer."""
    return _structure(call.model, _type(call.model, type_name, known), known, Options(), call.unknown_members)


def plain(value: Any) -> Any:
    """A value as JSON has it: times in UTC with ``Z``."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    return value


def _type(contract: Model, name: str, known: Known) -> Type:
    said = known.get("@odata.type")
    if said is None:
        return contract.types[name]
    return contract.types.get(str(said).removeprefix("#microsoft.graph.")) or contract.types[name]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A property that is answered."""

    name: str
    type: str
    collection: bool
    same: bool
    """Its values are JSON as they are, unless they are times, ids or the like."""


@lru_cache(maxsize=2000)
def _slots(version: str, type_name: str, select: frozenset[str] | None) -> tuple[_Slot, ...]:
    """What `$select` asks of a type: worked out once, not for each of a hundred entities."""
    contract, wanted = model(version), Options(select=select)
    found = []
    for name, property_ in contract.types[type_name].properties.items():
        asked = select is not None and name.lower() in select
        if asked or (wanted.wants(name) and not property_.select_only):
            known = property_.type in contract.types or property_.type in contract.enumerations
            same = not known and not property_.collection
            found.append(_Slot(name, property_.type, property_.collection, same))
    return tuple(found)


def _structure(contract: Model, type_: Type, known: Known, wanted: Options, later: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "@odata.type" in known:
        out["@odata.type"] = known["@odata.type"]
    for slot in _slots(contract.version, type_.name, wanted.select):
        value = known.get(slot.name)
        if slot.collection:
            out[slot.name] = [_one(contract, slot.type, item, later) for item in value or ()]
        elif value is None or (slot.same and type(value) in _AS_THEY_ARE):
            out[slot.name] = value
        else:
            out[slot.name] = plain(value) if slot.same else _one(contract, slot.type, value, later)
    for name in type_.navigation:
        if name in known:
            out[name] = known[name]
    return out


def _one(contract: Model, type_name: str, value: Any, later: bool) -> Any:
    if type_name in contract.types and isinstance(value, Mapping):
        return _structure(contract, _type(contract, type_name, value), value, Options(), later)
    if type_name in contract.enumerations:
        return _member(contract.version, type_name, str(plain(value)), later)
    return plain(value)


@lru_cache(maxsize=2000)
def _member(version: str, enumeration: str, word: str, later: bool) -> str:
    """What an enumeration's member is called to this client."""
    known = model(version).enumerations[enumeration]
    # An older version of the contract lacks some members altogether.
    if word in known.members and (later or word not in known.later):
        return word
    return "unknownFutureValue" if "unknownFutureValue" in known.members else word
