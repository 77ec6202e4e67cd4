"""How the authorisation server refuses: OAuth's error code, and Entra's number and shape around it."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from authlib.oauth2 import OAuth2Error

# Numbers of what Authlib refuses by itself, by its error code; ours carry their own.
_NUMBERS = {
    "invalid_request": 900144,
    "invalid_client": 7000218,
    "unauthorized_client": 700016,
    "invalid_grant": 70000,
    "invalid_scope": 70011,
    "unsupported_grant_type": 70003,
    "unsupported_response_type": 700051,
    "authorization_pending": 70016,
    "slow_down": 70016,
    "expired_token": 70020,
    "access_denied": 65004,
    "temporarily_unavailable": 90033,
}
RETRY_SECONDS = 5
"""After what is only for now."""


class Refusal(OAuth2Error):
    """A refusal with Entra's number. `description` says what to do where that is not plain."""

    def __init__(self, error: str, number: int, description: str, status: int = 400) -> None:
        super().__init__(error=error, description=_plain(description), status_code=status)
        self.number = number


def busy(description: str) -> Refusal:
    """Too much at once: ask again later."""
    return Refusal("temporarily_unavailable", 90033, description, 503)


def body(error: OAuth2Error, correlation_id: str | None) -> dict[str, Any]:
    """The JSON that clients get, in the shape they know from Entra."""
    number = getattr(error, "number", None) or _NUMBERS.get(str(error.error), 900144)
    trace, correlation = str(uuid4()), correlation_id or str(uuid4())
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    said = error.get_error_description() or str(error.error).replace("_", " ")
    return {
        "error": error.error,
        "error_description": f"AADSTS{number}: {said} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}",
        "error_codes": [number],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
    }


def _plain(text: str) -> str:
    """What RFC 6749 allows in a description: printable ASCII but for the double quote and the backslash."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in text)
