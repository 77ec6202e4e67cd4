"""Secrets at rest: encrypted with a key that never enters the database."""

import base64
import hmac
import os
import secrets as random
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from deskwright.settings import Settings


class Secrets:
    """Encrypts with the newest key, decrypts with any. Keys are lines of the key file, newest first."""

    def __init__(self, keys: list[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(k) for k in keys])
        self._keys = [base64.urlsafe_b64decode(k) for k in keys]

    def encrypt(self, plain: str) -> bytes:
        return self._fernet.encrypt(plain.encode())

    def decrypt(self, token: bytes) -> str:
        return self._fernet.decrypt(token).decode()

    def derive(self, purpose: str) -> list[bytes]:
        """32 bytes that only this installation knows, for one purpose: of each key, newest first. Kept nowhere."""
        return [hmac.digest(key, purpose.encode(), "sha256") for key in self._keys]


def key_file(settings: Settings) -> Path:
    return settings.secret_key_file or settings.data_dir / "secret.key"


def open_secrets(settings: Settings) -> Secrets:
    """Read the key file, making it (mode 0600) at the first start."""
    path = key_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
    return Secrets(path.read_bytes().split())


def one_time_password() -> str:
    """Sixteen characters, easy to read aloud, with what password rules usually want (about 75 bits)."""
    alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "-".join("".join(random.choice(alphabet) for _ in range(4)) for _ in range(4))
