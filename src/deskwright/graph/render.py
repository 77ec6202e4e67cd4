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
from deskwright.graph.contract import Model, Property, Type, model
from deskwright.graph.errors import bad

Known = Mapping[str, Any]
"""Property names to values; ``@odata.type`` names a derived type, navigation properties only where expanded."""
_AS_THEY_ARE = (str, int, bool, float)


def entity(call: Call, type_name: str, known: Known, options: Options | None = None) -> dict[str, Any]:
    """One entity, with what `$select` and `$expand` ask for. Raises 400 for a name the type does not have."""
    wanted = options or call.options
    type_ = _type(call.model, type_name, known)
    check(type_, wanted)
    return _structure(call.model, type_, known, wanted, call.unknown_members)


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
    said = str(known.get("@odata.type", "")).removeprefix("#microsoft.graph.")
    return contract.types.get(said) or contract.types[name]


@dataclass(frozen=True)
class _Slot:
    """A property that is answered. `same`: its values are JSON as they are, unless they are times, ids or the like."""

    property: Property
    same: bool


@lru_cache(maxsize=2000)
def _slots(version: str, type_name: str, select: frozenset[str] | None) -> tuple[_Slot, ...]:
    """What `$select` asks of a type: worked out once, not for each of a hundred entities."""
    contract, wanted = model(version), Options(select=select)
    found = []
    for name, property_ in contract.types[type_name].properties.items():
        asked = select is not None and name.lower() in select
        if asked or (wanted.wants(name) and not property_.select_only):
            known = property_.type in contract.types or property_.type in contract.enumerations
            found.append(_Slot(property_, same=not known and not property_.collection))
    return tuple(found)


def _structure(contract: Model, type_: Type, known: Known, wanted: Options, later: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "@odata.type" in known:
        out["@odata.type"] = known["@odata.type"]
    for slot in _slots(contract.version, type_.name, wanted.select):
        value = known.get(slot.property.name)
        if value is None and not slot.property.collection:
            out[slot.property.name] = None
        elif slot.same:
            out[slot.property.name] = value if type(value) in _AS_THEY_ARE else plain(value)
        else:
            out[slot.property.name] = _value(contract, slot.property, value, later)
    for name in type_.navigation:
        if name in known:
            out[name] = known[name]
    return out


def _value(contract: Model, property_: Property, value: Any, later: bool) -> Any:
    if property_.collection:
        items: Iterable[Any] = value or ()
        return [_one(contract, property_.type, item, later) for item in items]
    return None if value is None else _one(contract, property_.type, value, later)


def _one(contract: Model, type_name: str, value: Any, later: bool) -> Any:
    if type_name in contract.types and isinstance(value, Mapping):
        return _structure(contract, _type(contract, type_name, value), value, Options(), later)
    if type_name in contract.enumerations:
        word, known = str(plain(value)), contract.enumerations[type_name]
        # An older version of the contract lacks some members altogether.
        if word in known.members and (later or word not in known.later):
            return word
        return "unknownFutureValue" if "unknownFutureValue" in known.members else word
    return plain(value)
