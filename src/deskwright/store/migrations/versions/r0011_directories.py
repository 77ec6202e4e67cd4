"""Active Directory: domains, what is synchronised from them, and computer accounts that were made there."""

from deskwright.store.migrations import run_sql_beside

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
