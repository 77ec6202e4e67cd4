"""What `$filter`, `$orderby` and `$search` mean in SQL, over the fields an entity set offers.

`odata-query` reads the expression; every name in it must be a field of the set, every value becomes a bound
parameter.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser
from sqlalchemy import Boolean, ColumnElement, Text, and_, cast, false, func, literal, not_, or_, true

from deskwright.graph.errors import bad

LONGEST = 30_000
MOST_TERMS = 500
_DEEPEST = 60
_SHORT = 200
"""Characters of a `$filter` that is remembered, as clients send the same one again and again."""
_ORDER: dict[Any, Any] = {
    ast.Eq: operator.eq,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
# Clients write `not(` as a function; the library wants a blank. Quoted texts stay as they are.
_NOT = re.compile(r"('(?:[^']|'')*')|\bnot\(", re.IGNORECASE)
_MIRRORED: dict[Any, Any] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
Condition = ColumnElement[bool]


@dataclass(frozen=True)
class Field:
    """A property one may filter and sort by. `kind`: text, enum, int, number, bool, time, date, id or key.

    A key is an id that is kept as a text, in lower case: it is compared as it is, by its index.
    """

    expression: "ColumnElement[Any]"
    kind: str = "text"
    members: tuple[str, ...] = ()
    """An enumeration's, as the column holds them: then it is compared as it is, by its index."""


@dataclass(frozen=True)
class Fields:
    """What a set offers: `plain` by name (``status``, ``target/groupId``); `many`, collections for ``any(...)``.

    A member of `many` is given the fields of one element and a function that makes EXISTS of a condition on it.
    """

    plain: Mapping[str, Field]
    many: Mapping[str, tuple["Fields", Callable[[Condition], Condition]]] = field(default_factory=dict)
    search: tuple[str, ...] = ("displayName",)

    def find(self, name: str, option: str) -> Field:
        found = {n.lower(): f for n, f in self.plain.items()}.get(name.lower())
        if found is None:
            offered = ", ".join(sorted(self.plain))
            raise bad(f"'{name}' is not a property {option} can use here; these are: {offered}.", option)
        return found


def condition(fields: Fields, text: str) -> Condition:
    """`$filter` as SQL. Raises 400 with the part that is at fault."""
    if len(text) > LONGEST:
        raise bad(f"$filter is longer than {LONGEST} characters.", "$filter")
    if not storable(text):
        raise bad("$filter holds a character that no text can.", "$filter")
    tree = _read_often(text) if len(text) <= _SHORT else _read(text)
    if tree is None:
        raise bad("$filter is empty.", "$filter")
    return _Compiler(fields).condition(tree, 0)


def search(fields: Fields, text: str) -> Condition:
    """`$search`: ``"displayName:sales"`` or plain words, all of which must occur."""
    if not storable(text):
        raise bad("$search holds a character that no text can.", "$search")
    if not fields.search:
        raise bad("$search is not possible here.", "$search")
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    found: list[Condition] = []
    for quoted, bare in parts[:20]:
        term = (quoted or bare).replace('\\"', '"')
        if bare.upper() in ("AND", "OR"):
            if bare.upper() == "OR":
                raise bad("$search joins words by AND only.", "$search")
            continue
        name, colon, rest = term.partition(":")
        names = (name,) if colon else fields.search
        term = rest if colon else term
        found.append(or_(*(_like(fields.find(n, "$search").expression, f"%{_escaped(term)}%") for n in names)))
    return and_(true(), *found)


def _read(text: str) -> Any:
    """The expression as a tree, which nobody changes."""
    try:
        lexer, parser = ODataLexer(), ODataParser()
        return parser.parse(lexer.tokenize(_NOT.sub(lambda m: m[1] or "not (", text)))
    except ODataException as unreadable:
        raise bad(f"$filter cannot be read: {_plain(unreadable)}.", "$filter") from None
    except (ValueError, RecursionError, IndexError, TypeError, AttributeError):
        raise bad(f"$filter cannot be read: '{text[:80]}'.", "$filter") from None


_read_often = lru_cache(maxsize=256)(_read)


class _Compiler:
    def __init__(self, fields: Fields) -> None:
        self._fields, self._terms = fields, 0
        self._scopes: dict[str, Fields] = {}

    def condition(self, node: Any, depth: int) -> Condition:
        if depth > _DEEPEST:
            raise bad(f"$filter is nested too deeply; at most {_DEEPEST} levels.", "$filter")
        match node:
            case ast.BoolOp(op=op):
                # A chain of the same operator leans to the left: it is walked, not descended.
                parts = []
                while isinstance(node, ast.BoolOp) and type(node.op) is type(op):
                    parts.append(node.right)
                    node = node.left
                parts.append(node)
                made = [self.condition(part, depth + 1) for part in reversed(parts)]
                return and_(*made) if isinstance(op, ast.And) else or_(*made)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not_(func.coalesce(self.condition(operand, depth + 1), False))
            case ast.Compare(comparator=comparator, left=left, right=right):
                self._count()
                return self._compare(comparator, left, right, depth)
            case ast.Call():
                self._count()
                return self._call(node)
            case ast.CollectionLambda():
                self._count()
                return self._any(node, depth)
            case ast.Boolean(val=value):
                return true() if value == "true" else false()
            case ast.Identifier() | ast.Attribute():
                found = self._field(node)
                if found.kind == "bool":
                    return found.expression.is_(True)
        raise bad(f"$filter: {_shown(node)} is not a condition.", "$filter")

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise bad(f"$filter has more than {MOST_TERMS} terms.", "$filter")

    def _compare(self, comparator: Any, left: Any, right: Any, depth: int) -> Condition:
        if isinstance(left, ast.Call | ast.Compare | ast.BoolOp) and isinstance(right, ast.Boolean):
            made = self.condition(left, depth + 1)  # contains(...) eq true
            meant = (right.val == "true") == isinstance(comparator, ast.Eq)
            return made if meant else not_(func.coalesce(made, False))
        if _is_value(left) and not _is_value(right):
            left, right = right, left
            comparator = _MIRRORED.get(type(comparator), type(comparator))()
        found = self._operand(left)
        expression: Any = _folded(found)
        if isinstance(comparator, ast.In):
            values = right.val if isinstance(right, ast.List) else []
            self._terms += max(0, len(values) - 1)
            self._count()
            listed: Condition = expression.in_([_value(found, v) for v in values])
            return listed
        value = _value(found, right)
        if value is None:
            if isinstance(comparator, ast.Eq):
                return found.expression.is_(None)
            if isinstance(comparator, ast.NotEq):
                return found.expression.is_not(None)
            raise bad("$filter: null can be compared by eq and ne only.", "$filter")
        if isinstance(comparator, ast.NotEq):
            return cast(expression.is_distinct_from(value), Boolean)
        compare = _ORDER.get(type(comparator))
        if compare is None:
            raise bad("$filter: this comparison is not known.", "$filter")
        compared: Condition = compare(expression, value)
        return compared

    def _call(self, node: Any) -> Condition:
        name, args = node.func.name.lower(), node.args
        if name not in ("startswith", "endswith", "contains") or len(args) != 2:
            raise bad(f"$filter: the function '{node.func.name}' is not known here.", "$filter")
        found, term = self._operand(args[0]), args[1]
        if not isinstance(term, ast.String) or found.kind not in ("text", "enum", "id", "key"):
            raise bad(f"$filter: {name} needs a text property and a text.", "$filter")
        text = _escaped(term.val)
        pattern = {"startswith": f"{text}%", "endswith": f"%{text}", "contains": f"%{text}%"}[name]
        return _like(found.expression, pattern)

    def _any(self, node: Any, depth: int) -> Condition:
        name = _name(node.owner)
        many = {n.lower(): m for n, m in self._fields.many.items()}.get(name.lower())
        if many is None:
            raise bad(f"'{name}' is not a collection $filter can use here.", "$filter")
        inner, exists = many
        if node.lambda_ is None:
            return exists(true())
        variable = node.lambda_.identifier.name
        self._scopes[variable] = inner
        try:
            made = self.condition(node.lambda_.expression, depth + 1)
        finally:
            del self._scopes[variable]
        if isinstance(node.operator, ast.All):
            return not_(exists(not_(func.coalesce(made, False))))
        return exists(made)

    def _operand(self, node: Any) -> Field:
        if isinstance(node, ast.Call) and node.func.name.lower() in ("tolower", "toupper") and len(node.args) == 1:
            return self._field(node.args[0])  # texts are compared without regard to case anyway
        return self._field(node)

    def _field(self, node: Any) -> Field:
        if not isinstance(node, ast.Identifier | ast.Attribute):
            raise bad(f"$filter: {_shown(node)} is not a property.", "$filter")
        name = _name(node)
        first, _, rest = name.partition("/")
        if first in self._scopes:
            return self._scopes[first].find(rest or "", "$filter")
        return self._fields.find(name, "$filter")


def _name(node: Any) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.owner
    if not isinstance(node, ast.Identifier):
        raise bad(f"$filter: {_shown(node)} is not a property.", "$filter")
    return "/".join([node.name, *reversed(parts)])


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold it: no U+0000, no half of a surrogate pair."""
    return ("\x00" not in text and text.isascii()) or not any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)


def _is_value(node: Any) -> bool:
    return not isinstance(node, ast.Identifier | ast.Attribute | ast.Call | ast.BoolOp | ast.Compare)


def _folded(found: Field) -> "ColumnElement[Any]":
    folds = found.kind in ("text", "enum") and not found.members
    return func.lower(found.expression) if folds else found.expression


def _value(found: Field, node: Any) -> Any:
    """The literal as the field's kind wants it. Raises 400 where it does not fit."""
    if isinstance(node, ast.Null):
        return None
    raw = getattr(node, "val", None)
    if not isinstance(raw, str) or isinstance(node, ast.Duration):
        raise bad(f"$filter: {_shown(node)} cannot be compared with.", "$filter")
    try:
        match found.kind:
            case "text" | "enum" if isinstance(node, ast.String | ast.GUID):
                return next((m for m in found.members if m.lower() == raw.lower()), raw.lower())
            case "key" if isinstance(node, ast.String | ast.GUID):
                return raw.lower()
            case "id":
                return UUID(raw)
            case "int" if isinstance(node, ast.Integer) and abs(int(raw)) < 2**63:
                return int(raw)
            case "number" if isinstance(node, ast.Integer | ast.Float):
                return float(raw)
            case "bool" if raw.lower() in ("true", "false"):
                return raw.lower() == "true"
            case "time":
                given = datetime.fromisoformat(raw)
                return given if given.tzinfo else given.replace(tzinfo=UTC)
            case "date":
                return date.fromisoformat(raw[:10])
    except ValueError:
        if found.kind == "id":
            return UUID(int=0)  # nothing has this id: no object is found, as on Graph
    raise bad(f"$filter: '{raw[:80]}' cannot be compared with a property of kind {found.kind}.", "$filter")


def _like(expression: "ColumnElement[Any]", pattern: str) -> Condition:
    return cast(expression, Text).ilike(literal(pattern), escape="\\")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _shown(node: Any) -> str:
    return f"'{getattr(node, 'val', None) or getattr(node, 'name', None) or type(node).__name__}'"[:80]


def _plain(failure: Exception) -> str:
    token = re.search(r"value='?([^',)]*)", str(failure))
    return f"at '{token.group(1)}'" if token else "it is not an OData expression"
