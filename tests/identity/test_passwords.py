"""Hashes of passwords and secrets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskwright.domain.rules import Refused
from deskwright.identity import passwords


def test_a_hash_knows_its_password_and_no_other() -> None:
    kept = passwords.hash_password("correct horse battery")
    assert kept.startswith("$argon2id$")
    assert "correct" not in kept
    assert passwords.password_matches(kept, "correct horse battery")
    assert not passwords.password_matches(kept, "correct horse batterY")
    assert not passwords.password_matches(kept, "")
    assert passwords.hash_password("correct horse battery") != kept, "salted"


def test_nobodys_password_matches_nothing() -> None:
    assert not passwords.password_matches(None, "anything at all")
    assert not passwords.password_matches("no hash", "anything at all")


def test_secrets_are_long_random_and_fit_everywhere() -> None:
    made = {passwords.new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert len(secret) == passwords.SECRET_LENGTH == 40
        assert secret[0].isalpha()
        assert all(c.isascii() and (c.isalnum() or c in "-._~") for c in secret)
    kept = passwords.hash_secret(secret)
    assert passwords.secret_matches(kept, secret)
    assert not passwords.secret_matches(kept, secret[:-1])


@given(st.text(max_size=passwords.SHORTEST - 1))
@settings(max_examples=30)
def test_short_passwords_are_refused(password: str) -> None:
    with pytest.raises(Refused, match="characters"):
        passwords.check_password(password, "adele@contoso.com")


@pytest.mark.parametrize(
    "password", ["adele.vance@contoso.com", "ADELE.VANCE@CONTOSO.COM", "aaaaaaaaaaaabb", "x" * 257]
)
def test_poor_passwords_are_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(Refused) as refused:
        passwords.check_password(password, "adele.vance@contoso.com")
    assert password not in str(refused.value)
    assert refused.value.field == "password"
