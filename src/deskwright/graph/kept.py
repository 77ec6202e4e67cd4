"""Properties that mean nothing here: kept as a client gave them, told again, and never acted upon."""

from collections.abc import Mapping, Sequence
from typing import Any

from deskwright.graph.contract import Type, model
from deskwright.graph.render import plain

_EMPTY: Mapping[str, Any] = {"Boolean": False, "String": "", "Int32": 0}


def kept(type_name: str, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of `names` that are in the body, as JSON. Null and empty objects are None: they take a property away."""
    type_ = model("beta").types[type_name]
    return {name: _stored(type_, name, given[name]) for name in names if name in given}


def _stored(type_: Type, name: str, value: Any) -> Any:
    inner = model("beta").types.get(type_.properties[name].type) if name in type_.properties else None
    if value is None or value == {}:
        return None
    if inner is not None and isinstance(value, Mapping):
        # What must not be null, and was left out, is told as the empty value of its type.
        missing = {p.name: _EMPTY.get(p.type) for p in inner.properties.values() if not p.nullable}
        return {**missing, **{k: _stored(inner, k, v) for k, v in value.items()}}
    return [plain(item) for item in value] if isinstance(value, list) else plain(value)
