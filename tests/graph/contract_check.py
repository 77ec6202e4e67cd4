"""An answer held against the contract: names, types, members of enumerations, and what must not be null."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deskwright.graph.contract import Model, Property, model

_PRIMITIVE: dict[str, tuple[type, ...]] = {
    "Boolean": (bool,),
    "Int16": (int,),
    "Int32": (int,),
    "Int64": (int,),
    "Double": (int, float),
    "Single": (int, float),
}


def faults(version: str, type_name: str, value: Any) -> list[str]:
    """What of an entity or complex value is not as the contract of `version` says; empty: nothing."""
    return list(_structure(model(version), type_name, value, type_name))


def _structure(contract: Model, type_name: str, value: Any, path: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{path} is {value!r}, not an object"]
    said = str(value.get("@odata.type", "")).removeprefix("#microsoft.graph.")
    type_ = contract.types.get(said) or contract.types[type_name]
    found = []
    for name, inner in value.items():
        if name.startswith("@odata.") or name in type_.navigation:
            continue
        if name not in type_.properties:
            found.append(f"{path}/{name} is not in the contract")
            continue
        found += _property(contract, type_.properties[name], inner, f"{path}/{name}")
    return found


def _property(contract: Model, property_: Property, value: Any, path: str) -> list[str]:
    if property_.collection:
        if not isinstance(value, list):
            return [f"{path} is {value!r}, not a list"]
        return [fault for n, item in enumerate(value) for fault in _one(contract, property_.type, item, f"{path}[{n}]")]
    if value is None:
        return [] if property_.nullable else [f"{path} must not be null"]
    return _one(contract, property_.type, value, path)


def _one(contract: Model, type_name: str, value: Any, path: str) -> list[str]:
    if type_name in contract.types:
        return _structure(contract, type_name, value, path)
    if type_name in contract.enumerations:
        members = contract.enumerations[type_name].members
        return [] if value in members else [f"{path} is {value!r}, not one of {members}"]
    wanted = _PRIMITIVE.get(type_name, (str,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        return [f"{path} is {value!r}, not {type_name}"]
    return _time(str(value), path) if type_name == "DateTimeOffset" else []


def _time(value: str, path: str) -> list[str]:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return [f"{path} is {value!r}, not a time"]
    return [] if value.endswith("Z") else [f"{path} is {value!r}, not in UTC"]
