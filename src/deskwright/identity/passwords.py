"""Hashing passwords and client secrets with Argon2id, and making secrets.

Neither a password nor a secret is ever stored, logged or answered again. Hashing takes memory on purpose, so only a
few happen at once: a flood of sign-ins waits instead of taking the machine down.
"""

import hashlib
import os
import secrets as random
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from deskwright.domain.rules import Refused

SHORTEST, LONGEST = 12, 256
SECRET_LENGTH = 40
HINT_LENGTH = 3

# People choose passwords: 19 MiB and two passes, as OWASP's cheat sheet wants at least. Client secrets and codes are
# made here from 200 random bits and more, which nobody guesses; a light hash keeps ten thousand scripts affordable.
_FOR_PEOPLE = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_FOR_SECRETS = PasswordHasher(time_cost=1, memory_cost=2 * 1024, parallelism=1)
_AT_ONCE = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def check_password(password: str, user_principal_name: str) -> str:
    """The password, or Refused: long enough, not the user's name. Length counts, not kinds of characters."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused("password", None, f"must have {SHORTEST} to {LONGEST} characters, it has {len(password)}")
    if password.lower() in (user_principal_name.lower(), user_principal_name.split("@", maxsplit=1)[0].lower()):
        raise Refused("password", None, "must not be the user name")
    if len(set(password)) < 4:
        raise Refused("password", None, "must have at least four different characters")
    return password


def hash_password(password: str) -> str:
    with _AT_ONCE:
        return _FOR_PEOPLE.hash(password)


def password_matches(kept: str | None, given: str) -> bool:
    """Whether `given` is the password. Takes as long where there is none to compare with."""
    return _matches(_FOR_PEOPLE, _nobodys() if kept is None else kept, given) and kept is not None


def hash_secret(secret: str) -> str:
    with _AT_ONCE:
        return _FOR_SECRETS.hash(secret)


def secret_matches(kept: str, given: str) -> bool:
    return _matches(_FOR_SECRETS, kept, given)


def new_secret() -> str:
    """A client secret: 40 characters, about 240 bits. The first is a letter: no shell takes it for an option."""
    rest = "".join(random.choice(_ALPHABET) for _ in range(SECRET_LENGTH - 1))
    return random.choice(_ALPHABET[:52]) + rest


def new_code() -> str:
    """An authorization code, a device code, a refresh token: 256 random bits."""
    return random.token_urlsafe(32)


def digest(code: str) -> str:
    """What is stored of a code."""
    return hashlib.sha256(code.encode()).hexdigest()


def _matches(hasher: PasswordHasher, kept: str, given: str) -> bool:
    if len(given) > LONGEST:
        return False
    try:
        with _AT_ONCE:
            return hasher.verify(kept, given)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return hash_password(new_secret())
