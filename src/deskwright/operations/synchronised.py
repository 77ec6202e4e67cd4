"""What comes from a domain is changed there: refusing it here, by every surface."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import Refused

_NAME = text("SELECT name FROM domains WHERE id = :id")


def domain_of(connection: Connection, row: "Row[Any]") -> str | None:
    """The DNS name of the domain that a user or group comes from."""
    if row.domain_id is None:
        return None
    return str(connection.execute(_NAME, {"id": row.domain_id}).scalar_one())


def refuse(connection: Connection, row: "Row[Any]", name: str, field: str) -> None:
    """Refused where the user or group of this row comes from a domain; `name` is what people call it by."""
    if (domain := domain_of(connection, row)) is not None:
        raise Refused(field, name, f"is synchronised from {domain}; change it there", code="notAllowed")


def refuse_change(connection: Connection, row: "Row[Any]", name: str, fields: Mapping[str, str], **given: Any) -> None:
    """The same, where one of the columns `given` differs from what it is; None was not given. `fields`: their names."""
    for column, value in given.items():
        had = row._mapping[column]
        if value is not None and value != had and not (value == "" and had is None):
            refuse(connection, row, name, fields[column])
