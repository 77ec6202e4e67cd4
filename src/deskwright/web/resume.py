"""A form that was sent after the session had ended is not lost: it waits, sealed, for the same person's sign-in."""

import json
import time
from uuid import UUID

from cryptography.fernet import InvalidToken

from deskwright.store.secrets import Secrets
from deskwright.web.forms import Form

_SECONDS = 1800
_LARGEST = 200_000


def resumable(secrets: Secrets, user: UUID, path: str, form: Form) -> str:
    """The form of that person as a text that only we can read, without passwords: they would come back in a page.

    Empty where it has files or is too large.
    """
    fields = [(n, v) for n, v in form.fields if n != "csrf" and "password" not in n.lower()]
    until = time.time() + _SECONDS
    held = json.dumps({"for": "resume", "user": str(user), "until": until, "path": path, "fields": fields})
    return "" if form.files or len(held) > _LARGEST else secrets.encrypt(held).decode()


def resumed(secrets: Secrets, user: UUID, sealed: str) -> tuple[str, list[tuple[str, str]]] | None:
    """(path, fields) of a form of that person that was sealed within the last half hour."""
    try:
        held = json.loads(secrets.decrypt(sealed.encode()))
    except (InvalidToken, ValueError):
        return None
    if (held.get("for"), held.get("user")) != ("resume", str(user)) or held["until"] < time.time():
        return None
    return held["path"], [(n, v) for n, v in held["fields"]]
