"""The first schema: Deskwright's tables, the simulated outside world's, and Procrastinate's."""

from pathlib import Path

from alembic import op

from deskwright import jobs

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By the driver itself: both hold per cent signs, which SQLAlchemy would take for parameters.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(Path(__file__).with_suffix(".sql").read_text())
    driver.execute(jobs.schema())
