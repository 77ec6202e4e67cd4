"""Finding people by a part of their names, without putting each name into lower case again."""

from deskwright.store.migrations import run_sql_beside

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
