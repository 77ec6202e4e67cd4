"""Real machines: what the libvirt provider and the built-in directory and management remember."""

from deskwright.store.migrations import run_sql_beside

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
