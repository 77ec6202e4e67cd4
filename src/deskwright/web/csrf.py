"""The token that tells a session's forms from those of other sites."""

import hmac
import secrets as random
from base64 import urlsafe_b64decode, urlsafe_b64encode


def csrf_of(token: str) -> str:
    """What the forms of a session carry: never twice the same text, so that compression cannot reveal it."""
    mask = random.token_bytes(32)
    return urlsafe_b64encode(mask + _xor(mask, _digest(token))).decode()


def is_csrf_of(token: str, sent: str) -> bool:
    """Whether a form was made for that session."""
    try:
        raw = urlsafe_b64decode(sent.encode())
    except ValueError:
        return False
    return len(raw) == 64 and hmac.compare_digest(_xor(raw[:32], raw[32:]), _digest(token))


def _digest(token: str) -> bytes:
    return hmac.digest(token.encode(), b"deskwright form", "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
