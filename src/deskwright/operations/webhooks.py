"""Sending events to a tenant's webhook: CloudEvents 1.0, signed as Standard Webhooks says.

A tenant's secret is derived from the installation's key, so it stands in no setting, export or backup.
"""

import base64
import hmac
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from deskwright import __version__
from deskwright.operations.mail import NotSent
from deskwright.settings import check_webhook
from deskwright.store.secrets import Secrets

TIMEOUT_SECONDS = 10.0
_GONE = 410  # Standard Webhooks: the receiver wants this no more


def keys(secrets: Secrets, tenant: UUID) -> list[bytes]:
    """What the tenant's events are signed with: of each of the installation's keys, newest first."""
    return secrets.derive(f"webhook {tenant}")


def secret(secrets: Secrets, tenant: UUID) -> str:
    """The newest of them as receivers want it: ``whsec_`` and base64."""
    return f"whsec_{base64.b64encode(keys(secrets, tenant)[0]).decode()}"


def signed(signing: Sequence[bytes], event_id: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of an event; `now` in seconds since 1970.

    Signed with each key, so that the installation's key can be replaced without losing an event.
    """
    stamp = str(int(now))
    content = b".".join((event_id.encode(), stamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in signing)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{s}" for s in signatures),
    }


def post(url: str, event: Mapping[str, Any], signing: Sequence[bytes]) -> None:
    """Send one event (CloudEvents attributes and data). Raises NotSent unless the answer is 2xx, within ten seconds.

    Redirects are not followed. Private addresses are allowed: a self-hosted receiver has one.
    """
    try:
        parts = urlsplit(check_webhook(url))
    except ValueError as wrong:
        raise NotSent(f"webhookUrl {wrong}", for_good=True) from wrong
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/cloudevents+json; charset=utf-8",
        "User-Agent": f"Deskwright/{__version__}",
        **signed(signing, str(event["id"]), body, time.time()),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        status = _status(_connection(parts.scheme, str(parts.hostname), parts.port), path, body, headers)
    except (OSError, http.client.HTTPException, ValueError) as broken:
        raise NotSent(f"webhook: {str(broken) or type(broken).__name__}", whole=True) from broken
    if not 200 <= status < 300:
        everything = status >= 500 or status == 429 or 300 <= status < 400
        raise NotSent(f"webhook answered {status}", for_good=status == _GONE, whole=everything)


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        secure = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=secure)
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)


def _status(connection: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The answer's status; what it says is not read.

    A socket's time-out counts from byte to byte; the timer ends an answer that trickles.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError, TypeError):
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(TIMEOUT_SECONDS, end)
    timer.daemon = True
    try:
        connection.connect()
        timer.start()
        connection.request("POST", path, body, dict(headers))
        with connection.getresponse() as answer:
            status = answer.status
    except (OSError, http.client.HTTPException) as broken:
        if late.is_set():
            raise TimeoutError("no answer in time") from broken
        raise
    finally:
        timer.cancel()
        connection.close()
    if late.is_set():
        raise TimeoutError("no answer in time")  # a head that breaks off looks like a whole one
    return status
