"""Bringing the schema up to date with Alembic; the versions are in `versions/`."""

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from deskwright.store.database import Database

_HERE = Path(__file__).parent
# Any number will do, it must only be the same for everyone who migrates.
_ADVISORY_LOCK = 7_311_905_322


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config


def run_sql_beside(version: str) -> None:
    """For a version's `upgrade`: run the .sql file that has its name. `version` is its ``__file__``."""
    run_sql(Path(version).with_suffix(".sql").read_text())


def run_sql(statements: str) -> None:
    """By the driver itself: they may hold per cent signs, which SQLAlchemy would take for parameters."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(statements)


def newest() -> str:
    """The revision this program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current(database: Database) -> str | None:
    """The revision the database has, None when it is empty."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Apply what is missing, in one transaction; several processes may call it at once."""
    if current(database) == newest():
        return
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
