"""The page about the properties of the tenant document."""

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from deskwright.document.model_policies import DEFAULTS, MODELS, Assignment, Simulation
from deskwright.document.reader import SECTIONS
from deskwright.reference.markdown import LIMITS, code, default, page, table

_TECHNICAL = 10**8
"""Larger limits are those of what a number is kept in, no rule for people."""


def _parts_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts_of(inner)


def _value(annotation: Any, rules: Iterable[Any] = ()) -> str:
    """In words, what may be written for an annotation."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        found = (m.metadata if isinstance(m, FieldInfo) else [m] for m in inner[1:])
        return _value(inner[0], (*rules, *(rule for several in found for rule in several)))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_value(i, rules) for i in inner if i is not NoneType))
    if origin is Literal:
        return ", ".join(code(str(i)) for i in inner)
    if origin is list:
        return f"list of {_value(inner[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "group name or object" if annotation is Assignment else "object"
    word = {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "object")
    limits = ((words, getattr(rule, attribute, None)) for rule in rules for attribute, words in LIMITS)
    return ", ".join((word, *(f"{words} {at}" for words, at in limits if at is not None and abs(at) < _TECHNICAL)))


def document_fields(model: type[BaseModel]) -> dict[str, tuple[tuple[str, ...], FieldInfo]]:
    """What an object of a document may say: preferred name -> (the other names it has, the field)."""
    found = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        names = [str(c) for c in alias.choices] if isinstance(alias, AliasChoices) else [field.alias or name]
        found[names[0]] = (tuple(names[1:]), field)
    return found


def _document_object(model: type[BaseModel], title: str, level: int, defaults: dict[str, Any]) -> Iterator[str]:
    rows, inside = [], []
    for name, (others, field) in document_fields(model).items():
        given = defaults.get(name, None if field.is_required() else field.default)
        if isinstance(given, dict):
            given = ", ".join(f"{k}: {v}" for k, v in given.items())
        empty = given is None or given in ("", [])
        wanted = "required" if field.is_required() else "" if empty else default(FieldInfo(default=given))
        rows.append((code(name), ", ".join(map(code, others)), _value(field.annotation, field.metadata), wanted))
        inside += [(part, name) for part in _parts_of(field.annotation)]
    yield f"{'#' * level} {title}"
    yield table(("property", "also written as", "value", "default"), rows)
    for part, name in inside:
        yield from _document_object(part, f"{title}: {name}", level + 1, defaults)


def tenant_document_page() -> str:
    parts: list[str] = []
    for section in SECTIONS:
        if section in MODELS:
            parts.extend(_document_object(MODELS[section], section, 2, DEFAULTS.get(section, {})))
        elif section == "simulation":
            parts.extend(_document_object(Simulation, section, 2, {}))
        else:
            told = {"tenant": "Text, required: the tenant's name.", "settings": "See [settings](settings.md)."}
            parts += [f"## {section}", told[section]]
    return page(
        "Properties of the tenant document",
        "Every section and every property there is. What they mean, the rules and an example:"
        " [the tenant document](../tenant-document.md). The default is what a new object gets; an existing object"
        " keeps what is not written.",
        *parts,
    )
