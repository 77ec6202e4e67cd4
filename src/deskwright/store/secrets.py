"""Secrets at rest: encrypted with a key that never enters the database.

The key file has a key on each line, newest first: it encrypts, and every other one only reads. A line ``next:KEY`` is a
key that is going to be the newest, which every machine must be able to read before one writes with it.
"""

import base64
import contextlib
import hmac
import logging
import os
import secrets as random
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from deskwright.settings import Settings

log = logging.getLogger(__name__)

_NEXT = b"next:"


@dataclass(frozen=True)
class Keys:
    """What stands in a key file."""

    kept: tuple[bytes, ...]
    """Newest first."""
    coming: tuple[bytes, ...] = ()
    """Prepared: they only read."""

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Raises OSError, and ValueError where a line is no key."""
        words = path.read_bytes().split()
        coming = tuple(word.removeprefix(_NEXT) for word in words if word.startswith(_NEXT))
        kept = tuple(word for word in words if not word.startswith(_NEXT))
        for key in (*kept, *coming):
            Fernet(key)
        if not kept:
            raise ValueError(f"{path} has no key")
        return cls(kept, coming)

    def write(self, path: Path) -> None:
        """In one moment: whoever reads it meanwhile reads all of the old file or all of the new one.

        Raises OSError, and then nothing has changed.
        """
        before = path.stat()
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        lines = [*self.kept, *(_NEXT + key for key in self.coming)]
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(b"\n".join(lines) + b"\n")
                file.flush()
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                if os.geteuid() == 0:
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fsync(descriptor)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Secrets:
    """Encrypts with the newest key, decrypts with any. A key file that was changed is read again by itself, so that
    running processes follow a rotation."""

    def __init__(self, keys: list[bytes], path: Path | None = None) -> None:
        self._path = path
        self._seen = _state(path)
        self._take(keys)

    def encrypt(self, plain: str) -> bytes:
        return self._now()[1].encrypt(plain.encode())

    def decrypt(self, token: bytes) -> str:
        """Raises cryptography's InvalidToken where no key reads it."""
        return self._now()[1].decrypt(token).decode()

    def derive(self, purpose: str) -> list[bytes]:
        """32 bytes that only this installation knows, for one purpose: of each key, newest first. Kept nowhere."""
        raw = (base64.urlsafe_b64decode(key) for key in self._now()[0])
        return [hmac.digest(key, purpose.encode(), "sha256") for key in raw]

    def __len__(self) -> int:
        return len(self._now()[0])

    def key_of(self, token: bytes) -> int:
        """Which key encrypted it, counted from the newest, 0; as many as there are keys where none of them did."""
        keys = self._now()[0]
        for place, key in enumerate(keys):
            with contextlib.suppress(InvalidToken):
                Fernet(key).decrypt(token)
                return place
        return len(keys)

    def _take(self, keys: list[bytes]) -> None:
        # One assignment: other threads see all of it or nothing.
        self._held = (tuple(keys), MultiFernet([Fernet(key) for key in keys]))

    def _now(self) -> tuple[tuple[bytes, ...], MultiFernet]:
        state = _state(self._path)
        if state != self._seen and state is not None and self._path is not None:
            try:
                found = Keys.read(self._path)
            except (OSError, ValueError) as wrong:
                log.warning("the key file cannot be read again, the keys of before stay: %s", wrong)
            else:
                self._take([*found.kept, *found.coming])
            self._seen = state
        return self._held


def fingerprint(key: bytes) -> str:
    """What tells keys apart, and tells nothing about them."""
    return hmac.digest(base64.urlsafe_b64decode(key), b"fingerprint", "sha256")[:4].hex()


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
    keys = Keys.read(path)
    return Secrets([*keys.kept, *keys.coming], path)


def one_time_password() -> str:
    """Sixteen characters, easy to read aloud, with what password rules usually want (about 75 bits)."""
    alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "-".join("".join(random.choice(alphabet) for _ in range(4)) for _ in range(4))


def _state(path: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does."""
    if path is None:
        return None
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino
