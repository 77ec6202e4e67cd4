"""How a call is refused: Graph's error envelope, and which status each of our refusals has."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deskwright.domain.rules import ConfirmationRequired, NotFound, Refused

CONFIRM_HEADER = "Deskwright-Confirm"
"""Sent with the value ``true``, it confirms what the safety brake has stopped (R13)."""

# Codes of domain.rules.Refused; every other one is 400.
_STATUS = {
    "itemNotFound": 404,
    "conflict": 409,
    "nameAlreadyExists": 409,
    "notAllowed": 409,
    "confirmationRequired": 409,
    "quotaLimitReached": 409,
    "canaryCheckUnpass": 409,
    "capacityUnavailable": 409,
    "noEnoughIpAddress": 409,
    "notSupported": 501,
}
_LONGEST = 2000
"""Characters of a message: what was given is told again in it, and may be long."""
_GRAPH_CODE = {"itemNotFound": "ResourceNotFound", "invalidRequest": "BadRequest"}


class GraphError(Exception):
    """A call is refused. `target` names the part that is at fault."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.target = status, code, message, target
        self.details, self.headers = list(details), dict(headers or {})

    def body(self, request_id: str, client_request_id: str) -> dict[str, Any]:
        ids = {"request-id": request_id, "client-request-id": client_request_id}
        message = self.message if len(self.message) <= _LONGEST else f"{self.message[: _LONGEST - 1]}…"
        error: dict[str, Any] = {"code": self.code, "message": message}
        if self.target:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return {"error": {**error, "innerError": {"date": now, **ids}}}


def bad(message: str, target: str | None = None) -> GraphError:
    return GraphError(400, "BadRequest", message, target=target)


def not_found(what: str, name: Any) -> GraphError:
    return GraphError(404, "ResourceNotFound", f"No {what} with the id '{name}' exists in this tenant.", target="id")


def not_served(operation: str) -> GraphError:
    return GraphError(501, "notSupported", f"Deskwright does not serve {operation} yet. No change was made.")


def not_possible(message: str) -> GraphError:
    """What the object cannot do where it is: a documented refusal, never a false success."""
    return GraphError(501, "notSupported", message)


def refused(cause: Refused) -> GraphError:
    """A refusal of the application, as the API tells it: with its field, value, rule and way out."""
    status, code = _STATUS.get(cause.code, 400), _GRAPH_CODE.get(cause.code, cause.code)
    if isinstance(cause, ConfirmationRequired):
        details = [{"code": "losesCloudPC", "message": who, "target": who} for who in cause.who]
        message = (
            f"{cause.rule}. Nothing was changed. Send the request again with the header "
            f"'{CONFIRM_HEADER}: true' if it is meant."
        )
        return GraphError(status, code, message, details=details)
    if isinstance(cause, NotFound):
        message = f"No {cause.field} '{cause.value}' exists in this tenant."
        return GraphError(status, code, message, target=cause.field)
    return GraphError(status, code, str(cause), target=cause.field)
