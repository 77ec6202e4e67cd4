"""Reading a document one item at a time, in memory that does not grow with it, every value with its line.

On the events of PyYAML's C parser. Plain scalars are typed as in YAML 1.2, not 1.1: a group called ``No`` or ``On``
stays text. Anchors are ignored and aliases refused: a reader that keeps nothing cannot repeat something, and nobody
can make ten lines grow into gigabytes.
"""

import difflib
import math
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Union, cast

import yaml

from deskwright.document.problems import Problems
from deskwright.document.source import Document

OBJECT, LIST, TEXT = "an object", "a list", "text"
SECTIONS: dict[str, str] = {
    "tenant": TEXT,
    "settings": OBJECT,
    "simulation": OBJECT,
    "sites": LIST,
    "domains": LIST,
    "identityProviders": LIST,
    "users": LIST,
    "groups": LIST,
    "roleGroups": LIST,
    "servicePlans": LIST,
    "licenses": LIST,
    "onPremisesConnections": LIST,
    "deviceImages": LIST,
    "userSettings": LIST,
    "provisioningPolicies": LIST,
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 30
_LONGEST_NUMBER = 30
_NULL, _TRUE, _FALSE = {"", "~", "null", "Null", "NULL"}, {"true", "True", "TRUE"}, {"false", "False", "FALSE"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")

Mark = Union[int, "Lines"]


@dataclass(slots=True)
class Lines:
    """The lines of an object's or list's parts, in the shape of the value itself."""

    line: int
    parts: dict[str, Mark] | list[Mark]

    def at(self, *path: str | int) -> int:
        """The line of the part at `path`, or of the nearest whole around it that was written."""
        mark: Mark = self
        line = self.line
        for step in path:
            if not isinstance(mark, Lines):
                break
            parts = mark.parts
            if isinstance(parts, dict):
                if step not in parts:
                    break
                mark = parts[str(step)]
            else:
                if not isinstance(step, int) or step >= len(parts):
                    break
                mark = parts[step]
            line = mark if isinstance(mark, int) else mark.line
        return line


@dataclass(frozen=True, slots=True)
class Item:
    """One element of a section's list; a section that is one object, or text, is one item (`index` None)."""

    section: str
    index: int | None
    value: Any
    lines: Lines

    @property
    def where(self) -> str:
        return self.section if self.index is None else f"{self.section}[{self.index}]"


def nearest(name: str, known: Iterator[str] | list[str]) -> str:
    """A hint at what may have been meant, as the end of a sentence."""
    listed = list(known)
    close = difflib.get_close_matches(name, listed, 1, 0.6) or [k for k in listed if k.lower() == name.lower()]
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(listed)}"


@dataclass
class Reader:
    """Reads one document; what is wrong with its form goes to `problems`, and reading goes on where it can."""

    document: Document
    problems: Problems
    written: dict[str, int] = field(default_factory=dict)
    """The sections that were written, with their lines."""
    position: int = 0
    """How far the file has been read, in bytes."""
    _events: Iterator[Any] = field(default_factory=lambda: iter(()), init=False)
    _where: str = field(default="", init=False)

    def items(self) -> Generator[Item, None, None]:
        with self.document.open() as file:
            try:
                yield from self._document(file)
            except yaml.MarkedYAMLError as error:
                mark = error.problem_mark or error.context_mark
                line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
                told = " ".join(filter(None, (error.context, error.problem))) or "cannot be read"
                self.problems.add(line, "YAML", None, told, column=column)
            except (yaml.YAMLError, UnicodeError) as error:
                told = getattr(error, "reason", None) or str(error).splitlines()[0]
                self.problems.add(0, "YAML", None, f"cannot be read: {told}")

    def tenant(self) -> str | None:
        """The name in ``tenant``, found without reading on; None where there is none, or no sense."""
        scan = Reader(self.document, Problems(self.document.name))
        with closing(scan.items()) as found:
            for item in found:
                if item.section == "tenant":
                    return item.value if isinstance(item.value, str) else None
        return None

    def _document(self, file: BinaryIO) -> Iterator[Item]:
        parsed = cast(Generator[Any, None, None], yaml.parse(file, Loader=_LOADER))
        with closing(parsed):
            self._events = iter(parsed)
            next(self._events)  # the stream's start
            begin = next(self._events)
            if isinstance(begin, yaml.StreamEndEvent):
                self.problems.add(1, "document", None, "is empty")
                return
            top = next(self._events)
            if not isinstance(top, yaml.MappingStartEvent):
                self.problems.add(_line(top), "document", None, f"must be an object with: {', '.join(SECTIONS)}")
                return
            for key in self._events:
                if isinstance(key, yaml.MappingEndEvent):
                    break
                for item in self._section(key):
                    self.position = file.tell()
                    yield item
            next(self._events)  # the document's end
            after = next(self._events)
            if not isinstance(after, yaml.StreamEndEvent):
                self.problems.add(_line(after), "document", None, "only one document may stand in a file")

    def _section(self, key: Any) -> Iterator[Item]:
        if not isinstance(key, yaml.ScalarEvent):
            self.problems.add(
                _line(key), "document", None, f"names its sections by text; there are: {', '.join(SECTIONS)}"
            )
            self._skip(key)
            self._skip(next(self._events))
            return
        name, line = key.value, _line(key)
        value = next(self._events)
        form = SECTIONS.get(name)
        if form is None:
            self.problems.add(line, name, None, f"is no section{nearest(name, list(SECTIONS))}")
            self._skip(value)
            return
        if name in self.written:
            self.problems.add(line, name, None, f"is written twice, first in line {self.written[name]}")
            self._skip(value)
            return
        if form != TEXT and isinstance(value, yaml.ScalarEvent) and self._scalar(value, name) is None:
            return  # a heading without anything under it says nothing
        self.written[name] = line
        self._where = name
        if form == LIST:
            yield from self._list(name, value)
            return
        plain, mark = self._value(value, 1, name)
        if not isinstance(plain, dict if form == OBJECT else str):
            self.problems.add(line, name, plain, f"must be {form}")
            return
        yield Item(name, None, plain, mark if isinstance(mark, Lines) else Lines(line, {}))

    def _list(self, name: str, start: Any) -> Iterator[Item]:
        if not isinstance(start, yaml.SequenceStartEvent):
            self.problems.add(_line(start), name, None, "must be a list")
            self._skip(start)
            return
        for index, event in enumerate(self._events):
            if isinstance(event, yaml.SequenceEndEvent):
                return
            self._where = f"{name}[{index}]"
            plain, mark = self._value(event, 1, "")
            if isinstance(plain, dict) and isinstance(mark, Lines):
                yield Item(name, index, plain, mark)
            elif not isinstance(event, yaml.AliasEvent):
                self.problems.add(_line(event), self._where, plain, "must be an object")

    def _value(self, event: Any, depth: int, key: str) -> tuple[Any, Mark]:
        """The plain value that begins with `event`, and its lines."""
        line: int = event.start_mark.line + 1
        if type(event) is yaml.ScalarEvent:
            return self._scalar(event, key), line
        if type(event) is yaml.AliasEvent:
            self.problems.add(line, self._at(key), f"*{event.anchor}", "aliases are not supported: write the value out")
            return None, line
        if depth > _DEEPEST:
            self.problems.add(line, self._at(key), None, f"is nested more than {_DEEPEST} levels deep")
            self._skip(event)
            return None, line
        if type(event) is yaml.SequenceStartEvent:
            values: list[Any] = []
            marks: list[Mark] = []
            for inner in self._events:
                if type(inner) is yaml.SequenceEndEvent:
                    break
                value, mark = self._value(inner, depth + 1, key)
                values.append(value)
                marks.append(mark)
            return values, Lines(line, marks)
        return self._mapping(line, depth)

    def _mapping(self, line: int, depth: int) -> tuple[dict[str, Any], Lines]:
        found: dict[str, Any] = {}
        places: dict[str, Mark] = {}
        for key in self._events:
            if type(key) is yaml.MappingEndEvent:
                break
            if type(key) is not yaml.ScalarEvent:
                self.problems.add(_line(key), self._where, None, "a property's name must be text")
                self._skip(key)
                self._skip(next(self._events))
                continue
            name, key_line = key.value, _line(key)
            value, mark = self._value(next(self._events), depth + 1, name)
            if name in found:
                first = places[name]
                first_line = first if isinstance(first, int) else first.line
                self.problems.add(key_line, self._at(name), None, f"is written twice, first in line {first_line}")
                continue
            found[name] = value
            places[name] = key_line if isinstance(mark, int) else Lines(key_line, mark.parts)
        return found, Lines(line, places)

    def _scalar(self, event: Any, key: str) -> Any:
        text: str = event.value
        if not text.isprintable() and ("\0" in text or any("\ud800" <= c <= "\udfff" for c in text)):
            self.problems.add(_line(event), self._at(key), None, "must not contain characters that are no text")
            return None
        if event.tag and event.tag not in ("!", "tag:yaml.org,2002:str"):
            self.problems.add(_line(event), self._at(key), event.tag, "tags are not supported")
            return None
        if event.tag or not event.implicit[0]:
            return text
        return plain_value(text)

    def _skip(self, event: Any) -> None:
        """Pass over the rest of the value that begins with `event`."""
        depth = _change_of_depth(event)
        while depth > 0:
            depth += _change_of_depth(next(self._events))

    def _at(self, key: str) -> str:
        return f"{self._where}.{key}" if key and key != self._where else self._where


def plain_value(text: str) -> Any:
    """What a plain scalar means: null, a boolean, a number, or itself."""
    if text in _NULL:
        return None
    if text[0] not in "-+.0123456789tTfF":
        return text
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if len(text) <= _LONGEST_NUMBER:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _change_of_depth(event: Any) -> int:
    if isinstance(event, yaml.CollectionStartEvent):
        return 1
    return -1 if isinstance(event, yaml.CollectionEndEvent) else 0
