"""Events to a webhook: signed as Standard Webhooks says, over a real HTTP server."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet

from deskwright.domain.notices import EVENT_TYPES
from deskwright.identity import certificates
from deskwright.operations import webhooks
from deskwright.operations.mail import NotSent
from deskwright.settings import TenantSettings
from deskwright.store.secrets import Secrets
from tests.receivers import webhook

TENANT = UUID("00000000-0000-4000-8000-000000000001")
EVENT = {"specversion": "1.0", "id": "e1", "data": {"displayName": "Ädele"}}


def genuine(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver checks it, by the words of the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}".encode()
    wanted = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(wanted, given) for given in headers["webhook-signature"].split(" "))


def test_an_event_arrives_signed() -> None:
    secrets = Secrets([Fernet.generate_key()])
    with webhook() as receiver:
        webhooks.post(receiver.url, EVENT, webhooks.keys(secrets, TENANT))
    ((headers, body),) = receiver.got
    assert receiver.paths == ["/hook?from=deskwright"]
    assert json.loads(body) == EVENT
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["webhook-id"] == "e1"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 30
    assert genuine(webhooks.secret(secrets, TENANT), headers, body)
    assert not genuine(webhooks.secret(secrets, TENANT), headers, body + b" ")
    assert not genuine(webhooks.secret(secrets, TENANT), {**headers, "webhook-timestamp": "1"}, body)
    assert not genuine(webhooks.secret(secrets, uuid4()), headers, body), "another tenant's"


def test_what_the_documentation_shows_verifies_a_real_event() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
    shown: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], shown)
    secrets = Secrets([Fernet.generate_key()])
    with webhook() as receiver:
        webhooks.post(receiver.url, EVENT, webhooks.keys(secrets, TENANT))
    ((headers, body),) = receiver.got
    assert shown["genuine"](webhooks.secret(secrets, TENANT), headers, body)
    assert not shown["genuine"](webhooks.secret(secrets, TENANT), headers, b"{}")
    assert all(f"`{kind}`" in page for kind in EVENT_TYPES.values())


def test_the_specifications_example() -> None:
    """The values of the Standard Webhooks specification's own example."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = webhooks.signed([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_new_key_signs_beside_the_old_one() -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    before = webhooks.secret(Secrets([old]), TENANT)
    both = Secrets([new, old])
    assert webhooks.secret(both, TENANT) == webhooks.secret(Secrets([new]), TENANT) != before
    headers = webhooks.signed(webhooks.keys(both, TENANT), "e1", b"{}", time.time())
    assert genuine(before, headers, b"{}")
    assert genuine(webhooks.secret(both, TENANT), headers, b"{}")


@pytest.mark.parametrize(
    ("status", "for_good", "whole"),
    [
        (302, False, True),
        (400, False, False),
        (404, False, False),
        (410, True, False),
        (429, False, True),
        (500, False, True),
    ],
)
def test_only_2xx_is_received_and_redirects_are_not_followed(status: int, for_good: bool, whole: bool) -> None:
    with webhook() as other, webhook() as receiver:
        receiver.status, receiver.headers = status, {"Location": other.url}
        with pytest.raises(NotSent, match=str(status)) as failure:
            webhooks.post(receiver.url, EVENT, [b"key"])
        assert (failure.value.for_good, failure.value.whole) == (for_good, whole)
        assert len(receiver.got) == 1
        assert other.got == []


def test_https_wants_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificates.make(tmp_path)
    with webhook(tls=made) as receiver:
        with pytest.raises(NotSent, match="certificate"):
            webhooks.post(receiver.url, EVENT, [b"key"])
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
        webhooks.post(receiver.url, EVENT, [b"key"])
    assert len(receiver.got) == 1


@contextmanager
def trickling() -> Iterator[str]:
    """A server that answers a byte at a time, for ever."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                try:
                    while not ended.wait(0.05):
                        connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            ended.set()
            thread.join(10)


def test_an_answer_that_trickles_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 0.5)
    began = time.monotonic()
    with trickling() as url, pytest.raises(NotSent, match="no answer in time") as failure:
        webhooks.post(url, EVENT, [b"key"])
    assert failure.value.whole
    assert time.monotonic() - began < 5


def test_nobody_there() -> None:
    with webhook() as receiver:
        url = receiver.url
    with pytest.raises(NotSent, match="webhook: ") as failure:
        webhooks.post(url, EVENT, [b"key"])
    assert failure.value.whole


@pytest.mark.parametrize("url", ["https://h.contoso.com/x?y=z", "https://10.0.0.7:8443/", "http://127.0.0.1:9/x"])
@pytest.mark.parametrize("also", [None, "http://[::1]/", "http://localhost:9"])
def test_addresses_that_may_be_set(url: str, also: str | None) -> None:
    assert TenantSettings(webhookUrl=url).webhookUrl == url
    assert TenantSettings(webhookUrl=also).webhookUrl == also


@pytest.mark.parametrize(
    "url",
    [
        *("http://h.contoso.com/", "http://127.0.0.1.contoso.com/", "ftp://h/", "https://", "h.contoso.com", ""),
        *("https://u:p@h/", "http://127.0.0.1@evil.com/", "https://h/#x", "https://h/a b", "https://h/\r\nX: y"),
        *("https://h:x/", "https://[::1", "file:///etc/passwd", "https://ä/", "https://h/" + "x" * 2000),
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="webhookUrl"):
        TenantSettings(webhookUrl=url)
    if len(url) < 2000:
        with pytest.raises(NotSent):
            webhooks.post(url, EVENT, [b"key"])
