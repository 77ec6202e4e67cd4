"""Where a document comes from: a file, or text that was sent."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from deskwright.domain.rules import Refused


@dataclass(frozen=True)
class Document:
    """YAML (or JSON, which is YAML) that can be read several times."""

    name: str
    """As it is shown before line numbers."""
    path: Path | None = None
    content: bytes = b""
    environment: Mapping[str, str] | None = None
    """Where ``{env: NAME}`` is looked up; None: this process's own. What others send never reads that."""

    @classmethod
    def at(cls, path: Path) -> "Document":
        """The document in a file. Raises Refused where it cannot be read."""
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise Refused("file", str(path), f"cannot be read: {error.strerror}") from error
        return cls(str(path), path)

    @classmethod
    def of(
        cls, content: str | bytes, name: str = "document", environment: Mapping[str, str] | None = None
    ) -> "Document":
        given = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        return cls(name, None, given, environment)

    def open(self) -> BinaryIO:
        return self.path.open("rb") if self.path else io.BytesIO(self.content)

    def sha256(self) -> str:
        with self.open() as file:
            return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()

    def size(self) -> int:
        return self.path.stat().st_size if self.path else len(self.content)
