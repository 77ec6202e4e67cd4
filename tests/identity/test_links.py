"""R16: a one-time link leads a person to their own password, once, and nobody else anywhere."""

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from deskwright.domain.rules import Refused
from deskwright.identity import links, sign_in
from deskwright.identity.failures import Failure
from deskwright.identity.sign_in import SignedIn
from tests.company import Company

CHOSEN = "correct horse battery"


@pytest.fixture
def here(company: Company) -> Company:
    company.user("adele")
    company.user("alex")
    return company


def made(here: Company, user: str = "adele", life: timedelta = links.LIFE) -> str:
    with here.world.database.begin() as connection:
        return links.make(connection, here.tenant.id, here.ids[user], "test", life=life).token


def name_of(who: SignedIn | None) -> str | None:
    return who.person.user_principal_name if who else None


def test_it_is_used_once_and_looking_does_not_use_it(here: Company) -> None:
    token = made(here)
    for _ in range(3):
        who = links.look(here.world.database, token)
        assert who is not None
        assert (who.tenant_id, who.tenant_name) == (here.tenant.id, "contoso.com")
        assert (who.person.user_principal_name, who.person.display_name) == ("adele@contoso.com", "adele")
    used = links.use(here.world.database, token, CHOSEN)
    assert name_of(used) == "adele@contoso.com"
    assert used is not None
    assert not used.must_change
    assert links.look(here.world.database, token) is None
    assert links.use(here.world.database, token, "another horse battery") is None
    found = sign_in.sign_in(here.world.database, here.tenant.id, "adele@contoso.com", CHOSEN)
    assert name_of(found if isinstance(found, SignedIn) else None) == "adele@contoso.com"


def test_what_is_stored_opens_nothing_and_is_audited_without_it(here: Company) -> None:
    token = made(here)
    ((kept,),) = here.sql("SELECT hash FROM sign_in_links")
    assert links.look(here.world.database, kept) is None
    assert len(token) >= 43, "256 bits"
    links.use(here.world.database, token, CHOSEN)
    told = here.sql("SELECT actor, activity, after FROM audit_events")
    assert [(e.actor, e.activity) for e in told] == [("adele@contoso.com", "Choose password by link")]
    assert token not in repr(told)
    assert CHOSEN not in repr(told)


Spoil = Callable[[Company], object]
ENDED: dict[str, Spoil] = {
    "expired": lambda c: c.sql("UPDATE sign_in_links SET expires_at = now()"),
    "used": lambda c: c.sql("UPDATE sign_in_links SET used_at = now()"),
    "a newer one": made,
    "deleted person": lambda c: c.delete_user("adele"),
    "disabled person": lambda c: c.enable_user("adele", False),
}


@pytest.mark.parametrize("ended", ENDED)
def test_it_does_not_count_any_more(here: Company, ended: str) -> None:
    token = made(here)
    other = made(here, "alex")
    ENDED[ended](here)
    assert links.look(here.world.database, token) is None
    assert links.use(here.world.database, token, CHOSEN) is None
    assert here.sql("SELECT count(*) FROM user_credentials") == [(0,)]
    if ended not in ("expired", "used"):
        assert name_of(links.look(here.world.database, other)) == "alex@contoso.com", "another person's stays"


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "ä", "\x00", "\ud800", "' OR 1=1 --"])
def test_what_is_no_link(here: Company, token: str) -> None:
    made(here)
    assert links.look(here.world.database, token) is None
    assert links.use(here.world.database, token, CHOSEN) is None


def test_a_password_that_breaks_a_rule_leaves_it_open(here: Company) -> None:
    token = made(here)
    for bad in ("short", "adele@contoso.com", "aaaaaaaaaaaaaa"):
        with pytest.raises(Refused, match="password"):
            links.use(here.world.database, token, bad)
    assert name_of(links.use(here.world.database, token, CHOSEN)) == "adele@contoso.com"


def test_two_at_once_set_one_password(here: Company) -> None:
    token, start = made(here), Barrier(2)
    told: list[SignedIn | None] = []

    def use(password: str) -> None:
        start.wait()
        told.append(links.use(here.world.database, token, password))

    threads = [Thread(target=use, args=(f"{n} horse battery staple",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(who is not None for who in told) == [False, True]


def test_it_lives_as_long_as_was_said_and_old_ones_are_forgotten(here: Company) -> None:
    made(here, life=timedelta(hours=1))
    ((left,),) = here.sql("SELECT extract(epoch FROM expires_at - now()) FROM sign_in_links")
    assert 3500 < left <= 3600
    here.sql("UPDATE sign_in_links SET used_at = now(), expires_at = now() - interval '2 days'")
    made(here, "alex")
    assert here.sql("SELECT user_id FROM sign_in_links") == [(here.ids["alex"],)]


def test_a_locked_account_is_opened_by_it(here: Company) -> None:
    links.use(here.world.database, made(here), CHOSEN)
    for _ in range(sign_in.ATTEMPTS):
        sign_in.sign_in(here.world.database, None, "adele@contoso.com", "wrong")
    assert sign_in.sign_in(here.world.database, None, "adele@contoso.com", CHOSEN) is Failure.WRONG
    links.use(here.world.database, made(here), "another horse battery")
    found = sign_in.sign_in(here.world.database, None, "adele@contoso.com", "another horse battery")
    assert isinstance(found, SignedIn)
