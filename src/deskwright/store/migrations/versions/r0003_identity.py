"""App registrations, passwords, roles, signing keys, and what the sign-in flows have under way."""

from deskwright.store.migrations import run_sql_beside

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
