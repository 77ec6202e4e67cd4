"""What suffices for a call: permission, and for a person a role besides."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwright.identity.caller import Caller
from deskwright.identity.permissions import (
    ADMINISTRATOR,
    PERMISSIONS,
    READER,
    ROLES,
    included_in,
    including,
    known,
    satisfies,
)

names = st.sampled_from(sorted(PERMISSIONS))
some_names = st.frozensets(names, max_size=4)
some_roles = st.frozensets(st.sampled_from(sorted(ROLES)))


def caller(permissions: frozenset[str], roles: frozenset[str] | None) -> Caller:
    """`roles` None: an application by itself."""
    user = None if roles is None else uuid4()
    return Caller(uuid4(), "t", "a", uuid4(), "app", user, "u@t" if user else None, permissions, roles or frozenset())


@given(some_names, st.none() | some_roles, some_names, st.booleans(), st.booleans())
def test_more_permissions_and_roles_never_take_anything_away(
    has: frozenset[str], roles: frozenset[str] | None, wanted: frozenset[str], writes: bool, own: bool
) -> None:
    if satisfies(caller(has, roles), wanted, writes=writes, own=own):
        assert satisfies(caller(frozenset(PERMISSIONS), roles), wanted, writes=writes, own=own)
        assert satisfies(caller(has, roles), [*wanted, "CloudPC.ReadWrite.All"], writes=writes, own=own)
        if roles is not None:
            assert satisfies(caller(has, frozenset(ROLES)), wanted, writes=writes, own=own)
            assert satisfies(caller(has, None), wanted, writes=writes), "an application needs no role"


@given(some_names, st.none() | some_roles, some_names, st.booleans())
def test_what_may_be_written_may_be_read(
    has: frozenset[str], roles: frozenset[str] | None, wanted: frozenset[str], own: bool
) -> None:
    if satisfies(caller(has, roles), wanted, writes=True, own=own):
        assert satisfies(caller(has, roles), wanted, writes=False, own=own)


@given(st.frozensets(st.sampled_from([n for n, p in PERMISSIONS.items() if not p.writes])), some_names)
def test_permissions_that_only_read_never_write(has: frozenset[str], wanted: frozenset[str]) -> None:
    assert not satisfies(caller(has, None), wanted, writes=True)
    assert not satisfies(caller(has, frozenset(ROLES)), wanted, writes=True, own=True)


@given(some_names, some_names, st.booleans())
def test_a_person_without_a_role_reaches_only_what_is_their_own(
    has: frozenset[str], wanted: frozenset[str], writes: bool
) -> None:
    person = caller(has, frozenset())
    assert not satisfies(person, wanted, writes=writes)
    assert satisfies(person, wanted, writes=writes, own=True) == satisfies(caller(has, None), wanted, writes=writes)


@given(names, names)
def test_including_is_the_reverse_of_included(one: str, other: str) -> None:
    assert (one in included_in(other)) == (other in including(one))


@pytest.mark.parametrize(
    ("has", "wanted", "writes", "may"),
    [
        ("CloudPC.ReadWrite.All", "CloudPC.Read.All", False, True),
        ("CloudPC.Read.All", "CloudPC.ReadWrite.All", False, False),
        ("CloudPC.Read.All", "CloudPC.ReadWrite.All", True, False),
        ("Directory.ReadWrite.All", "GroupMember.ReadWrite.All", True, True),
        ("Directory.Read.All", "User.Read.All", False, True),
        ("Directory.ReadWrite.All", "CloudPC.Read.All", False, False),
        ("Group.ReadWrite.All", "User.ReadWrite.All", True, False),
        ("CloudPC.ReadWrite.All", "CloudPC.Read.All", True, False),  # an endpoint that names only a reading one
    ],
)
def test_an_application_needs_the_permission(has: str, wanted: str, writes: bool, may: bool) -> None:
    assert satisfies(caller(frozenset({has}), None), [wanted], writes=writes) is may


@pytest.mark.parametrize(
    ("roles", "writes", "may"),
    [({ADMINISTRATOR}, True, True), ({READER}, True, False), ({READER}, False, True), (set(), False, False)],
)
def test_a_person_needs_a_role_too(roles: set[str], writes: bool, may: bool) -> None:
    both = frozenset({"CloudPC.ReadWrite.All"})
    assert satisfies(caller(both, frozenset(roles)), ["CloudPC.ReadWrite.All"], writes=writes) is may
    nothing = caller(frozenset(), frozenset(roles))
    assert not satisfies(nothing, ["CloudPC.ReadWrite.All"], writes=writes), "the role alone is not enough"


def test_the_table_holds_together() -> None:
    for name, permission in PERMISSIONS.items():
        assert known(name.upper()) == name
        assert permission.meaning
        assert name not in included_in(name) - {name}
        if permission.writes:
            assert name.split(".")[1] in ("ReadWrite", "PrivilegedOperations")
        for inner in permission.includes:
            assert inner in PERMISSIONS
            assert permission.writes or not PERMISSIONS[inner].writes, "who only reads does not come to write"
    assert known("CloudPC.Everything") is None
    with pytest.raises(KeyError):
        satisfies(caller(frozenset(), None), ["CloudPC.Everything"], writes=False)
