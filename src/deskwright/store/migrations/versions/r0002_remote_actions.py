"""Remote actions on a running Cloud PC: power state, snapshots, review status, and when it last changed."""

from deskwright.store.migrations import run_sql_beside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
