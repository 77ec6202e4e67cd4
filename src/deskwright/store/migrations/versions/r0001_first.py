"""The first schema: Deskwright's tables, the simulated outside world's, and Procrastinate's."""

from deskwright import jobs
from deskwright.store.migrations import run_sql, run_sql_beside

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
    run_sql(jobs.schema())
