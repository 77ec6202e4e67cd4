"""Webhooks: an event for every change of a status, in order; and since when users wait for reconcile."""

from deskwright.store.migrations import run_sql_beside

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_beside(__file__)
