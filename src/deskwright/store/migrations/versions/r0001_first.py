"""The first schema: Deskwright's tables, Procrastinate's and the simulated outside world's."""

from pathlib import Path

from alembic import op

from deskwright import jobs
from deskwright.providers.simulator import world
from deskwright.store.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection)
    functions = Path(__file__).parent.parent.parent / "functions.sql"
    connection.exec_driver_sql(functions.read_text())
    connection.exec_driver_sql("CREATE SCHEMA simulator")
    world.metadata.create_all(connection)
    # By the driver itself: Procrastinate's schema holds per cent signs, which SQLAlchemy would take for parameters.
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(jobs.schema())
