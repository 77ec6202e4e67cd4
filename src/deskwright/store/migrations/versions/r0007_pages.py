"""What the pages need: sessions, one-time links, roles in other tenants, and what people are told."""

from deskwright.store.migrations import run_sql_beside

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
