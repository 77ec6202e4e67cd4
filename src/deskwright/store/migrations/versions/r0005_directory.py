"""What clients of the API set on people, groups and devices, and the rules that raise alerts."""

from deskwright.store.migrations import run_sql_beside

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
