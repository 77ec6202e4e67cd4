"""What a command works with: settings, database, secrets, and the tenant it is about."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from sqlalchemy import text

from deskwright.cli.output import err
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World
from deskwright.settings import Settings
from deskwright.store.database import Database, open_database
from deskwright.store.secrets import open_secrets


@dataclass
class Session:
    """An open installation, in this process."""

    world: World

    @property
    def database(self) -> Database:
        return self.world.database

    @property
    def settings(self) -> Settings:
        return self.world.settings

    @property
    def actor(self) -> str:
        """Who the audit log names: the person at this terminal."""
        return f"cli:{getpass.getuser()}"

    def tenant(self, name: str | None) -> TenantRef:
        """The tenant named, or the only one there is. Raises Refused where that is not clear."""
        with self.database.engine.connect() as connection:
            rows = connection.execute(text("SELECT id, name FROM tenants ORDER BY name")).all()
        if name is not None:
            found = [row for row in rows if row.name.lower() == name.lower()]
            if not found:
                raise NotFound("tenant", name, "deskwright tenant list shows those there are")
            return TenantRef(found[0].id, found[0].name)
        if len(rows) == 1:
            return TenantRef(rows[0].id, rows[0].name)
        if not rows:
            raise Refused("tenant", None, "there is no tenant yet", remedy="deskwright apply -f TENANT.yaml makes one")
        names = ", ".join(row.name for row in rows)
        raise Refused("--tenant", None, f"needed: there are several ({names})")


def service_elsewhere() -> tuple[str, str] | None:
    """Address and token of the service that commands call, where both are set."""
    settings = Settings()
    if not settings.url or settings.token is None or not settings.token.get_secret_value():
        return None
    return settings.url, settings.token.get_secret_value()


@contextmanager
def open_session(pool_size: int = 4) -> Iterator[Session]:
    """Open the installation of this machine's environment; starts the embedded database where it does not run.

    With a service elsewhere set it ends with 2: what was asked for would happen on the wrong machine.
    """
    if service_elsewhere() is not None:
        rule = "This command works only on the machine with the data directory, not through DESKWRIGHT_URL."
        err.print(f"[bold red]Refused:[/] {rule}", highlight=False, soft_wrap=True)
        err.print("Run it there, or unset DESKWRIGHT_URL to work on this machine.", soft_wrap=True)
        raise typer.Exit(2)
    settings = Settings()
    database = open_database(settings, pool_size)
    try:
        yield Session(World(database, open_secrets(settings), settings))
    finally:
        database.close()
