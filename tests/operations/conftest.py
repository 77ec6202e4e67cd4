"""A tenant to work on through the operations alone, and a way to see whom a change touched."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from deskwright.operations import sites, tenants
from deskwright.operations.change import TenantRef
from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets, open_secrets

PLAN = "Cloud PC Enterprise 2vCPU/8GB/128GB"
Touched = Callable[[], list[str]]


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return open_secrets(Settings(data_dir=tmp_path))


@pytest.fixture
def contoso(database: Database) -> TenantRef:
    tenants.create(database, "test", "contoso.com", default_simulated_sites=False)
    tenant = tenants.find(database, "contoso.com")
    sites.create(database, tenant, "test", name="site-a", region_group="europeUnion")
    return tenant


@pytest.fixture
def touched(database: Database, contoso: TenantRef) -> Touched:
    """The names of those marked since it was last called, in the order in which they were."""

    def take() -> list[str]:
        query = text(
            """
            WITH taken AS (DELETE FROM touched_users WHERE tenant_id = :tenant RETURNING number, user_id)
            SELECT split_part(u.user_principal_name, '@', 1) FROM taken t JOIN users u ON u.id = t.user_id
             ORDER BY t.number
            """
        )
        with database.begin() as connection:
            return list(connection.execute(query, {"tenant": contoso.id}).scalars())

    return take
