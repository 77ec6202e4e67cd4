"""Read models: what people look at, as plain dicts with the API's property names.

`cloud_pcs` is the list (status), `timeline` one Cloud PC with everything that happened to it (show), `explain_user`
the verdicts on a user (explain), `ledger` what exists outside by our doing and what is left of it (R8). Only
`reveal_sign_in` changes anything: a one-time password is shown once.
"""

from deskwright.operations.explanation import changes_waiting, explain_user
from deskwright.operations.listing import cloud_pcs, counts, ledger, one_time_passwords, unsettled, waiting_text
from deskwright.operations.timeline import reveal_sign_in, timeline

__all__ = [
    "changes_waiting",
    "cloud_pcs",
    "counts",
    "explain_user",
    "ledger",
    "one_time_passwords",
    "reveal_sign_in",
    "timeline",
    "unsettled",
    "waiting_text",
]
