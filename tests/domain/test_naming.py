"""Names: which templates and policy names are allowed, and what comes out of a template."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwright.domain.naming import (
    DEFAULT_TEMPLATE,
    FORBIDDEN_IN_POLICY_NAME,
    check_policy_name,
    check_template,
    device_name,
)
from deskwright.domain.rules import Refused

LITERALS = st.text("abcXYZ019-", max_size=4)
PARTS = st.tuples(LITERALS, st.integers(0, 5), LITERALS, st.integers(5, 15), LITERALS)


def _template(parts: tuple[str, int, str, int, str]) -> str:
    before, user, between, rand, after = parts
    return f"{before}{f'%USERNAME:{user}%' if user else ''}{between}%RAND:{rand}%{after}"


def _longest(parts: tuple[str, int, str, int, str]) -> int:
    before, user, between, rand, after = parts
    return len(before + between + after) + user + rand


@given(PARTS)
def test_a_template_is_allowed_exactly_if_it_gives_at_most_15_characters(
    parts: tuple[str, int, str, int, str],
) -> None:
    template = _template(parts)
    if _longest(parts) <= 15:
        assert check_template(template) == template
    else:
        with pytest.raises(Refused, match="4 to 15"):
            check_template(template)


@given(PARTS.filter(lambda p: _longest(p) <= 15), st.emails() | st.text(), st.integers())
def test_every_allowed_template_gives_a_computer_name(
    parts: tuple[str, int, str, int, str], user: str, seed: int
) -> None:
    name = device_name(_template(parts), user, random.Random(seed).choice)
    assert 4 <= len(name) <= 15
    assert re.fullmatch(r"[A-Za-z0-9-]+", name)


@given(st.integers())
def test_the_same_choices_give_the_same_name(seed: int) -> None:
    first, second = (device_name(DEFAULT_TEMPLATE, "adele@contoso.com", random.Random(seed).choice) for _ in range(2))
    assert first == second
    assert re.fullmatch(r"CPC-adele-[A-Z2-9]{5}", first)
    assert not set(first.rsplit("-", 1)[1]) & set("01IO"), "names are read aloud"


@pytest.mark.parametrize(
    ("user", "part"),
    [
        ("zoë.o'hara@contoso.com", "zoeoh"),
        ("al@contoso.com", "al"),
        ("adele", "adele"),
        ("李雷@contoso.com", "user"),
        ("@contoso.com", "user"),
    ],
)
def test_the_users_part_is_reduced_to_letters_and_digits(user: str, part: str) -> None:
    assert device_name("%USERNAME:5%-%RAND:5%", user, lambda _: "X") == f"{part}-XXXXX"


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("", "%RAND:y%"),
        ("CPC-%USERNAME:5%", "%RAND:y%"),
        ("CPC-%RAND:4%", "%RAND:y%"),
        ("%RAND:5%%RAND:5%", "only once"),
        ("%USERNAME:0%-%RAND:5%", "at least 1"),
        ("CPC_%RAND:5%", "letters, digits and hyphen"),
        ("CPC %RAND:5%", "letters, digits and hyphen"),
        ("CPC-%USER:5%%RAND:5%", "letters, digits and hyphen"),
        ("é%RAND:5%", "letters, digits and hyphen"),
        ("CPC-%USERNAME:7%%RAND:5%", "up to 16"),
        ("%RAND:99%", "up to 99"),
    ],
)
def test_a_refused_template_names_the_rule(template: str, rule: str) -> None:
    with pytest.raises(Refused) as refused:
        check_template(template)
    assert (refused.value.field, refused.value.value) == ("cloudPcNamingTemplate", template)
    assert rule in refused.value.rule


def test_the_default_template_is_allowed() -> None:
    assert check_template(DEFAULT_TEMPLATE) == DEFAULT_TEMPLATE


@given(st.text(min_size=1, max_size=120))
def test_a_policy_name_is_allowed_unless_it_has_a_forbidden_character_or_is_blank(name: str) -> None:
    if name.strip() and not set(name) & set(FORBIDDEN_IN_POLICY_NAME):
        assert check_policy_name(name) == name.strip()
    else:
        with pytest.raises(Refused):
            check_policy_name(name)


@pytest.mark.parametrize("character", FORBIDDEN_IN_POLICY_NAME)
def test_the_forbidden_character_is_named(character: str) -> None:
    with pytest.raises(Refused, match=re.escape(f"found {character}")):
        check_policy_name(f"Sales {character} desktops")


def test_forbidden_characters_are_those_of_the_document() -> None:
    assert set(FORBIDDEN_IN_POLICY_NAME) == set('<>&|"^')


def test_a_name_is_at_most_120_characters() -> None:
    assert check_policy_name("x" * 120) == "x" * 120
    with pytest.raises(Refused, match="120"):
        check_policy_name("x" * 121)
