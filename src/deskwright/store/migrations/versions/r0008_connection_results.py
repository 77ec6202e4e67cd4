"""What the checks of a connection have come to, the last times."""

from deskwright.store.migrations import run_sql_beside

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
