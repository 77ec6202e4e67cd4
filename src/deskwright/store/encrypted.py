"""Every column that holds something encrypted, in one list, and writing them anew under another key.

A test compares the list with the columns that hold bytes. What is encrypted only for minutes (form fields, console
tickets) stands in no table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, text

from deskwright.store.database import Database
from deskwright.store.secrets import Secrets

_BATCH = 500


@dataclass(frozen=True)
class EncryptedColumn:
    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


ENCRYPTED = (
    EncryptedColumn("connections", "ad_domain_password"),
    EncryptedColumn("domains", "account_password"),
    EncryptedColumn("identity_providers", "client_secret"),
    EncryptedColumn("signing_keys", "private_key"),
    EncryptedColumn("sign_in_details", "one_time_password"),
)
NOT_ENCRYPTED = {
    "export_jobs.content": "a report that was asked for, compressed: it tells nothing that a reader may not know",
}
"""Columns of bytes that hold no secret, and why."""


def reencrypt(database: Database, secrets: Secrets) -> dict[str, int]:
    """Write everything that an older key encrypted anew, by the newest; returns how many of each column.

    It may be cut short anywhere and done again, beside others that read and write: a value changes only if it is still
    the one that was read, so nobody's newer one is lost.
    """
    return {str(column): sum(_rewritten(database, column, secrets)) for column in ENCRYPTED}


def counts(engine: Engine, secrets: Secrets) -> list[int]:
    """How many values each key of `secrets` encrypted, in their order; last, those that none of them reads."""
    found = [0] * (len(secrets) + 1)
    for column in ENCRYPTED:
        for _, value in _values(engine, column):
            found[secrets.key_of(value)] += 1
    return found


def _rewritten(database: Database, column: EncryptedColumn, secrets: Secrets) -> Iterator[int]:
    change = text(
        f"UPDATE {column.table} SET {column.column} = :new WHERE ctid = CAST(:row AS tid) AND {column.column} = :old"
    )
    for row, value in _values(database.engine, column):
        if 0 < secrets.key_of(value) < len(secrets):
            with database.begin() as connection:
                new = secrets.encrypt(secrets.decrypt(value))
                yield connection.execute(change, {"new": new, "row": row, "old": value}).rowcount


def _values(engine: Engine, column: EncryptedColumn) -> Iterator[tuple[str, bytes]]:
    """Where each value is, and the value."""
    query = text(
        f"SELECT CAST(ctid AS text) AS row, {column.column} AS value FROM {column.table}"
        f" WHERE {column.column} IS NOT NULL"
    )
    with engine.connect() as connection:
        for part in connection.execute(query).partitions(_BATCH):
            for row in part:
                yield row.row, bytes(row.value)
