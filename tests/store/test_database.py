"""The connection's own promises."""

import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from deskwright.store.database import Database


@pytest.mark.processes
def test_v6_the_locks_of_a_frozen_transaction_are_let_go(database: Database) -> None:
    """V6: a worker frozen between two statements of a transaction does not hold up its successors for ever."""
    with database.begin() as connection:
        connection.execute(text("INSERT INTO tenants (name) VALUES ('contoso.com')"))
    frozen = database.engine.connect()
    frozen.execute(text("SELECT id FROM tenants FOR UPDATE"))
    began = time.monotonic()
    with database.begin() as successor:
        successor.execute(text("UPDATE tenants SET speed = 2"))
    assert time.monotonic() - began < 15
    with pytest.raises(DBAPIError):  # woken, it finds that its transaction is gone
        frozen.execute(text("UPDATE tenants SET speed = 3"))
    frozen.invalidate()
    frozen.close()
    with database.begin() as connection:
        assert connection.execute(text("SELECT speed FROM tenants")).scalar_one() == 2
