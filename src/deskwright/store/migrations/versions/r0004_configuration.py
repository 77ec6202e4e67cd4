"""What clients of the API set on configuration that has no meaning here, kept and told again; fuller user settings."""

from deskwright.store.migrations import run_sql_beside

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
