"""The keys of secrets at rest: a new one encrypts everything anew, and the old ones go when nothing needs them."""

import os
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import text

from deskwright.domain.rules import Refused
from deskwright.operations import keys
from deskwright.store.database import Database
from deskwright.store.encrypted import ENCRYPTED, NOT_ENCRYPTED
from deskwright.store.secrets import Keys, Secrets, key_file, open_secrets
from tests.company import Company

PASSWORD = "joiner's password"


@pytest.fixture
def kept(company: Company) -> Company:
    """Two secrets in two tables."""
    company.site()
    company.connection("HQ")
    company.connection("Branch")
    secret = company.world.secrets.encrypt("a client's secret")
    company.sql(
        "INSERT INTO identity_providers (tenant_id, display_name, issuer, client_id, client_secret) "
        "VALUES (:tenant, 'X', 'https://x', 'x', :secret)",
        secret=secret,
    )
    return company


def path(company: Company) -> Path:
    return key_file(company.world.settings)


def older(company: Company) -> None:
    """As if the last change of the key file had been an hour ago."""
    past = path(company).stat().st_mtime - 3600
    os.utime(path(company), (past, past))


def values(company: Company) -> list[bytes]:
    found = company.sql(
        "SELECT ad_domain_password FROM connections UNION ALL SELECT client_secret FROM identity_providers"
    )
    return [bytes(value) for (value,) in found]


def read_by(company: Company, key: bytes) -> list[str]:
    return sorted(Fernet(key).decrypt(value).decode() for value in values(company))


ALL = ["a client's secret", PASSWORD, PASSWORD]


def test_every_column_of_bytes_is_known(database: Database) -> None:
    """Whoever adds one says whether `keys rotate` must know it."""
    with database.single.connect() as connection:
        found = connection.execute(
            text(
                "SELECT table_schema, table_name, column_name FROM information_schema.columns "
                "WHERE data_type = 'bytea' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
        ).all()
    schema = {"public": ""}
    names = {f"{schema.get(s, s + '.')}{table}.{column}" for s, table, column in found}
    assert names == {str(column) for column in ENCRYPTED} | set(NOT_ENCRYPTED)


def test_a_new_key_encrypts_everything_anew(kept: Company) -> None:
    (old,) = Keys.read(path(kept)).kept
    told = keys.rotate(kept.world)
    new, *rest = Keys.read(path(kept)).kept
    assert rest == [old]
    assert new != old
    assert told["changed"]["connections.ad_domain_password"] == 2
    assert told["changed"]["identity_providers.client_secret"] == 1
    assert read_by(kept, new) == ALL
    listed = keys.list_(kept.world)
    assert [(item["use"], item["values"]) for item in listed] == [("encrypts", 3), ("reads", 0)]
    assert new.decode() not in str(listed)
    assert old.decode() not in str(listed)


def test_the_key_file_stays_its_owners_alone(kept: Company) -> None:
    keys.rotate(kept.world)
    assert path(kept).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path(kept).parent.iterdir() if "secret.key" in file.name] == ["secret.key"]


def test_running_processes_follow(kept: Company) -> None:
    """They read what the new key encrypted, and write with it, without being started again."""
    running, before = open_secrets(kept.world.settings), values(kept)[0]
    keys.rotate(kept.world)
    assert running.decrypt(before)
    assert {running.decrypt(value) for value in values(kept)} == set(ALL)
    newest = Keys.read(path(kept)).kept[0]
    assert Fernet(newest).decrypt(running.encrypt("x")) == b"x"


def test_old_keys_go_when_nothing_needs_them(kept: Company) -> None:
    keys.rotate(kept.world)
    with pytest.raises(Refused, match="may still need an old one"):
        keys.drop_old(kept.world)
    older(kept)
    late = Secrets([Keys.read(path(kept)).kept[1]]).encrypt("written by one that had not heard of it")
    kept.sql("UPDATE connections SET ad_domain_password = :late WHERE display_name = 'HQ'", late=late)
    told = keys.drop_old(kept.world)
    assert told["dropped"] == 1
    (only,) = Keys.read(path(kept)).kept
    assert "written by one that had not heard of it" in read_by(kept, only)
    assert keys.drop_old.__doc__


def test_a_key_is_kept_while_something_cannot_be_read_without_it(kept: Company) -> None:
    keys.rotate(kept.world)
    older(kept)
    lost = Secrets([Fernet.generate_key()]).encrypt("of a key that is not there")
    kept.sql("UPDATE connections SET ad_domain_password = :lost WHERE display_name = 'HQ'", lost=lost)
    with pytest.raises(Refused, match="1 values are not encrypted by the newest key"):
        keys.drop_old(kept.world)
    assert len(Keys.read(path(kept)).kept) == 2
    assert keys.list_(kept.world)[-1] == {"key": "", "use": "no key reads these", "values": 1}


@pytest.mark.parametrize("after", range(5))
def test_it_may_be_cut_short_anywhere(kept: Company, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Everything stays readable, and the same again ends it: no further key is made for that."""
    done = [0]

    class Killed(BaseException):
        pass

    def cut(real: object) -> object:
        def step(*args: object, **named: object) -> object:
            done[0] += 1
            if done[0] > after:
                raise Killed
            return real(*args, **named)  # type: ignore[operator]

        return step

    def both() -> None:
        keys.rotate(kept.world)
        older(kept)
        keys.drop_old(kept.world)

    with monkeypatch.context() as here:
        here.setattr(Keys, "write", cut(Keys.write))
        here.setattr(Secrets, "encrypt", cut(Secrets.encrypt))
        with pytest.raises(Killed):
            both()
    readable = open_secrets(kept.world.settings)
    assert sorted(readable.decrypt(value) for value in values(kept)) == ALL
    keys.rotate(kept.world, new_key=False)
    older(kept)
    keys.drop_old(kept.world)
    (only,) = Keys.read(path(kept)).kept
    assert read_by(kept, only) == ALL


def test_a_value_that_changes_meanwhile_is_not_overwritten(kept: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    decrypt = Secrets.decrypt

    def meanwhile(self: Secrets, token: bytes) -> str:
        fresh = kept.world.secrets.encrypt("entered this moment")
        kept.sql("UPDATE connections SET ad_domain_password = :f WHERE display_name = 'HQ'", f=fresh)
        return decrypt(self, token)

    with monkeypatch.context() as here:
        here.setattr(Secrets, "decrypt", meanwhile)
        keys.rotate(kept.world)
    assert sorted(kept.world.secrets.decrypt(value) for value in values(kept)) == [
        "a client's secret",
        "entered this moment",
        PASSWORD,
    ]


def test_several_machines_prepare_a_key_first(kept: Company, tmp_path: Path) -> None:
    """One with a copy of the file reads what another encrypts, at every moment of the documented order."""
    copy = tmp_path / "copy.key"

    def elsewhere() -> Secrets:
        found = Keys.read(copy)
        return Secrets([*found.kept, *found.coming], copy)

    prepared = keys.prepare(kept.world)
    assert keys.prepare(kept.world) == prepared  # again: the same
    copy.write_bytes(path(kept).read_bytes())
    other = elsewhere()
    told = keys.rotate(kept.world)
    assert told["key"] == prepared["key"]
    assert {other.decrypt(value) for value in values(kept)} == set(ALL)
    assert kept.world.secrets.decrypt(other.encrypt("written there by the old key")) == "written there by the old key"
    copy.write_bytes(path(kept).read_bytes())
    (newest, _) = Keys.read(path(kept)).kept
    assert Fernet(newest).decrypt(other.encrypt("and now by the new one"))


def test_one_rotation_at_a_time(kept: Company) -> None:
    with keys._alone(kept.world.database), pytest.raises(Refused, match="another command"):
        keys.rotate(kept.world)


def test_a_file_that_cannot_be_read_again_changes_nothing(kept: Company, caplog: pytest.LogCaptureFixture) -> None:
    running, token = kept.world.secrets, kept.world.secrets.encrypt("x")
    path(kept).write_text("no key\n")
    assert running.decrypt(token) == "x"
    assert "the keys of before stay" in caplog.text
    with pytest.raises(Refused, match="secretKeyFile"):
        keys.list_(kept.world)


def test_what_no_key_encrypted_is_not_read() -> None:
    secrets = Secrets([Fernet.generate_key()])
    with pytest.raises(InvalidToken):
        secrets.decrypt(Secrets([Fernet.generate_key()]).encrypt(str(uuid4())))
