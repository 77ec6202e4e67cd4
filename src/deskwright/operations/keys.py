"""The keys that encrypt secrets at rest: which there are, a new one, and the end of the old ones.

A key comes into the file before anything is written with it, and goes only when nothing is. So it may be cut short
anywhere and done again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet
from sqlalchemy import text

from deskwright.domain.rules import Refused
from deskwright.operations.named import Item
from deskwright.provision.context import World
from deskwright.store.database import Database
from deskwright.store.encrypted import counts, reencrypt
from deskwright.store.secrets import Keys, Secrets, fingerprint, key_file

SETTLED_SECONDS = 60.0
"""So long after a new key came, what was under way then has been written."""
_PASSES = 5
_LOCK = 0x64776B6579  # an advisory lock: one rotation at a time
_WRITES = "encrypts"
_READS = "reads"
_COMING = "prepared"


def list_(world: World) -> list[Item]:
    """The keys, newest first: `key` (a fingerprint), `use` (encrypts, reads, prepared) and how many `values` of the
    database it encrypted. What no key reads is told last, with an empty `key`."""
    keys, secrets = _keys(world), _secrets(world)
    found = counts(world.database.engine, secrets)
    uses = [_WRITES, *[_READS] * (len(keys.kept) - 1), *[_COMING] * len(keys.coming)]
    listed: list[Item] = [
        {"key": fingerprint(key), "use": use, "values": n}
        for key, use, n in zip((*keys.kept, *keys.coming), uses, found, strict=False)
    ]
    if found[-1]:
        listed.append({"key": "", "use": "no key reads these", "values": found[-1]})
    return listed


def prepare(world: World) -> Item:
    """Put the next key into the file, where it only reads: for machines that have the file as a copy of their own."""
    with _alone(world.database):
        keys = _keys(world)
        if not keys.coming:
            keys = Keys(keys.kept, (Fernet.generate_key(),))
            _write(keys, world)
        return {"key": fingerprint(keys.coming[0]), "use": _COMING, "values": 0}


def rotate(world: World, *, new_key: bool = True) -> Item:
    """A new key, the prepared one if there is one, and everything encrypted anew by it. Returns `key` and `changed`,
    how many values of each column."""
    with _alone(world.database):
        keys = _keys(world)
        if new_key:
            newest = keys.coming[0] if keys.coming else Fernet.generate_key()
            keys = Keys((newest, *keys.kept), keys.coming[1:])
            _write(keys, world)
        changed = _reencrypt(world)
        return {"key": fingerprint(keys.kept[0]), "changed": changed, "old": len(keys.kept) - 1}


def drop_old(world: World) -> Item:
    """Take every key but the newest out of the file, once nothing in the database needs them. Refused where it cannot
    be known yet, or where something needs a key that is not there."""
    with _alone(world.database):
        keys = _keys(world)
        age = time.time() - key_file(world.settings).stat().st_mtime
        if age < SETTLED_SECONDS:
            rule = f"the keys changed {age:.0f} s ago: what is being written now may still need an old one"
            raise Refused("--drop-old", None, rule, remedy=f"Run it again in {SETTLED_SECONDS:.0f} s")
        changed = _reencrypt(world)
        secrets = _secrets(world)
        found = counts(world.database.engine, secrets)
        if sum(found[1:]):
            rule = f"{sum(found[1:])} values are not encrypted by the newest key"
            raise Refused("--drop-old", None, rule, remedy="deskwright keys list shows by which they are")
        dropped = len(keys.kept) - 1
        if dropped:
            _write(Keys(keys.kept[:1], keys.coming), world)
        return {"key": fingerprint(keys.kept[0]), "changed": changed, "dropped": dropped}


def _reencrypt(world: World) -> dict[str, int]:
    """Until nothing is left, which a row that moved meanwhile may be."""
    total: dict[str, int] = {}
    for _ in range(_PASSES):
        changed = reencrypt(world.database, _secrets(world))
        total = {column: total.get(column, 0) + n for column, n in changed.items()}
        if not any(changed.values()):
            break
    return total


def _keys(world: World) -> Keys:
    path = key_file(world.settings)
    try:
        return Keys.read(path)
    except (OSError, ValueError) as wrong:
        raise Refused("secretKeyFile", str(path), f"cannot be read: {wrong}") from wrong


def _secrets(world: World) -> Secrets:
    """Of the file as it is now, whatever this process has read."""
    keys = _keys(world)
    return Secrets([*keys.kept, *keys.coming])


def _write(keys: Keys, world: World) -> None:
    path: Path = key_file(world.settings)
    try:
        keys.write(path)
    except OSError as wrong:
        mend = "Change the file yourself (a key on each line, newest first), then: deskwright keys rotate --no-new-key"
        raise Refused("secretKeyFile", str(path), f"cannot be written: {wrong}", remedy=mend) from wrong


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    with database.single.connect() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar_one():
            raise Refused("keys", None, "are being changed by another command at this moment", remedy="Run it again")
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
