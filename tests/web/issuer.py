"""A second Deskwright, of an installation of its own, as the OpenID Connect issuer of the first."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from deskwright import serve
from deskwright.identity import issuer_web
from deskwright.operations import applications, credentials, identity_providers, users
from deskwright.operations.named import Item
from deskwright.settings import Settings
from deskwright.store.database import Database
from tests.company import Company, found
from tests.conftest import fresh_database
from tests.web.conftest import PASSWORD


@dataclass(frozen=True)
class Second:
    """The issuer's installation; its tenant is called head-office.example."""

    company: Company
    url: str

    @property
    def issuer(self) -> str:
        return f"{self.url}/{self.company.tenant.id}/v2.0"

    def person(self, upn: str) -> None:
        """Somebody who can sign in there with `PASSWORD`."""
        change = self.company.world.database, self.company.tenant, "test"
        users.create(*change, user_principal_name=upn)
        credentials.set_password(*change, upn, PASSWORD)

    def serves(self, company: Company, base: str, name: str = "Head office") -> Item:
        """Register the first installation, reached at `base`, there, and this issuer with the tenant of `company`."""
        change = self.company.world.database, self.company.tenant, "test"
        app = applications.create(*change, display_name=name)
        secret = applications.add_secret(*change, app["id"])["secretText"]
        item = identity_providers.create(
            company.world.database,
            company.tenant,
            "test",
            display_name=name,
            issuer=self.issuer,
            client_id=app["id"],
            client_secret=secret,
            secrets=company.world.secrets,
        )
        back = identity_providers.redirect_address(base, item)
        applications.set_(*change, app["id"], redirect_uris=[back])
        return item


@contextmanager
def second_deskwright(server: Database, directory: Path) -> Iterator[Second]:
    """On a port of its own, with a database of its own."""
    issuer_web.forget()
    with fresh_database(server) as database:
        company = found(database, Settings(data_dir=directory), "head-office.example")
        listening = serve.listen("127.0.0.1", 0)
        running = uvicorn.Server(uvicorn.Config(serve.application(company.world), **serve.UVICORN))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield Second(company, serve.address(listening))
        running.should_exit = True
        thread.join(20)
    issuer_web.forget()
