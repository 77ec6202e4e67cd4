"""Lists of Cloud PCs by index, and what the API keeps of bulk actions and exported reports."""

from deskwright.store.migrations import run_sql_beside

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
