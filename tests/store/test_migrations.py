"""The migrated database is what the tables in code say, and migrating again changes nothing."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from deskwright.providers.simulator import world
from deskwright.store import migrations
from deskwright.store.database import Database
from deskwright.store.tables import metadata


def test_migrations_lead_to_the_tables_in_code(database: Database) -> None:
    """A changed table without a migration of its own fails here."""
    for tables, schema in ((metadata, None), (world.metadata, "simulator")):
        with database.engine.connect() as connection:

            def ours(name: str | None, kind: str, parents: object, schema: str | None = schema) -> bool:
                if kind == "schema":
                    return name == schema
                return not (kind == "table" and str(name).startswith(("procrastinate", "alembic")))

            options = {"include_schemas": True, "include_name": ours, "compare_type": True}
            differences = compare_metadata(MigrationContext.configure(connection, opts=options), tables)
        assert differences == []


def test_upgrade_twice_is_harmless(database: Database) -> None:
    assert migrations.current(database) == migrations.newest()
    migrations.upgrade(database)
    assert migrations.current(database) == migrations.newest()


def test_seats_are_counted_by_the_database(database: Database) -> None:
    """E6: the trigger counts inserts, status changes and deletions, whoever makes them."""
    with database.begin() as connection:
        connection.execute(
            text(
                """
                WITH t AS (INSERT INTO tenants (name) VALUES ('t') RETURNING id),
                u AS (INSERT INTO users (tenant_id, user_principal_name, display_name)
                      SELECT id, 'u', 'u' FROM t RETURNING id),
                p AS (INSERT INTO service_plans (tenant_id, display_name, vcpu_count, ram_gb, storage_gb, seats)
                      SELECT id, 'p', 2, 8, 128, 5 FROM t RETURNING id)
                INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, display_name, status, entitled_number)
                SELECT t.id, u.id, p.id, 'x', 'pendingProvision', 1 FROM t, u, p
                """
            )
        )

        def used() -> int:
            return int(connection.execute(text("SELECT seats_used FROM service_plans")).scalar_one())

        assert used() == 0
        for status, expected in [
            ("provisioning", 1),
            ("failed", 1),
            ("inGracePeriod", 1),
            ("gone", 0),
            ("provisioned", 1),
        ]:
            connection.execute(text("UPDATE cloud_pcs SET status = :s"), {"s": status})
            assert used() == expected, status
        connection.execute(text("DELETE FROM cloud_pcs"))
        assert used() == 0
