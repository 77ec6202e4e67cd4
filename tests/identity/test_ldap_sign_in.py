"""People sign in with the password of a real Active Directory domain, and what happens when they cannot."""

import logging
import statistics
import time
from collections.abc import Callable
from threading import Thread
from uuid import UUID

import pytest
from sqlalchemy import text

from deskwright.active_directory import client
from deskwright.active_directory.client import Account
from deskwright.domain.rules import Refused
from deskwright.identity import ldap_sign_in, links, sign_in
from deskwright.identity.failures import SENTENCES, Failure
from deskwright.identity.sign_in import SignedIn
from deskwright.operations import credentials, invitations, users
from deskwright.operations.change import TenantRef
from tests.company import Company
from tests.identity.domain_people import know, stranger, synchronised
from tests.real_domain import RealDomain

WRONG = "not the password at all"
LOCAL = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap_sign_in, "_silence", ldap_sign_in._Silence())


@pytest.fixture
def domain(company: Company, real_domain: RealDomain) -> UUID:
    return know(company, real_domain)


def enter(company: Company, account: Account, password: str | None = None, tenant: UUID | None = None) -> object:
    return sign_in.sign_in(
        company.world.database, tenant, account.name, account.password if password is None else password
    )


def errors(company: Company) -> list[tuple[int, bool]]:
    rows = company.sql("SELECT failed_attempts, locked_until IS NOT NULL FROM user_credentials")
    return [tuple(row) for row in rows]


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that controllers are asked about from here on."""
    names: list[str] = []
    real = client.signed_in

    def counted(domain: object, account: Account) -> object:
        names.append(account.name)
        return real(domain, account)  # type: ignore[arg-type]

    monkeypatch.setattr(ldap_sign_in, "signed_in", counted)
    return names


def test_the_domains_password_counts_and_no_other(company: Company, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    user = synchronised(company, real_domain, domain, account)
    who = enter(company, account)
    assert isinstance(who, SignedIn)
    assert (who.person.id, who.tenant_id, who.domain) == (user, company.tenant.id, real_domain.domain.name)
    assert enter(company, account, WRONG) is Failure.WRONG
    assert errors(company) == [(1, False)]
    assert isinstance(enter(company, Account(account.name.upper(), account.password)), SignedIn)
    assert errors(company) == [(0, False)]
    assert isinstance(enter(company, account, tenant=company.tenant.id), SignedIn)
    assert enter(company, account, "") is Failure.WRONG
    assert enter(company, account, "x" * 300) is Failure.WRONG


def test_a_password_of_before_counts_no_more(company: Company, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    company.sql("UPDATE domains SET sign_in = 'none'")
    synchronised(company, real_domain, domain, account)
    credentials.set_password(company.world.database, company.tenant, "test", account.name, LOCAL, must_change=True)
    assert enter(company, account) is Failure.WRONG
    assert isinstance(enter(company, account, LOCAL), SignedIn)
    company.sql("UPDATE domains SET sign_in = 'ldap'")
    assert enter(company, account, LOCAL) is Failure.WRONG
    who = enter(company, account)
    assert isinstance(who, SignedIn)
    assert not who.must_change, "that was about the password here"


def test_nobody_gets_a_second_password_here(company: Company, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    user = synchronised(company, real_domain, domain, account)
    database, change = company.world.database, (company.world.database, company.tenant, "test", account.name)
    with database.begin() as connection:
        link = links.make(connection, company.tenant.id, user, "test")
    attempts: list[Callable[[], object]] = [
        lambda: credentials.set_password(*change),
        lambda: credentials.set_password(*change, LOCAL),
        lambda: users.set_(*change, password=LOCAL),
        lambda: invitations.invite(*change, base="https://here"),
    ]
    for attempt in attempts:
        with pytest.raises(Refused, match=f"is kept in {real_domain.domain.name}. Set or change it there"):
            attempt()
    assert links.look(database, link.token) is None
    assert links.use(database, link.token, LOCAL) is None
    assert company.sql("SELECT 1 FROM user_credentials WHERE password_hash IS NOT NULL") == []


@pytest.mark.parametrize(
    ("tool", "failure"),
    [
        (("user", "disable", "{}"), Failure.DISABLED),
        (("user", "setexpiry", "{}", "--days=-1"), Failure.ACCOUNT_EXPIRED),
        (
            ("user", "setpassword", "{}", "--must-change-at-next-login", "--newpassword=Some.pass.w0rd!"),
            Failure.MUST_CHANGE,
        ),
    ],
)
def test_what_the_controller_says_is_told_to_who_knows_the_password(
    company: Company, real_domain: RealDomain, domain: UUID, tool: tuple[str, ...], failure: Failure
) -> None:
    account = real_domain.user(password="Some.pass.w0rd!")
    synchronised(company, real_domain, domain, account)
    real_domain.controller.tool(*(part.format(account.name.partition("@")[0]) for part in tool))
    assert enter(company, account) is failure
    assert errors(company) == [(0, False)], "the password was right"
    assert enter(company, account, WRONG) is Failure.WRONG
    assert SENTENCES[failure] != SENTENCES[Failure.WRONG]


def test_who_is_disabled_here_does_not_sign_in(company: Company, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    synchronised(company, real_domain, domain, account)
    company.sql("UPDATE users SET account_enabled = false")
    assert enter(company, account) is Failure.DISABLED
    assert enter(company, account, WRONG) is Failure.WRONG


def test_guesses_here_do_not_lock_the_account_there(
    company: Company, real_domain: RealDomain, domain: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = real_domain.controller.tool
    account = real_domain.user()
    user = synchronised(company, real_domain, domain, account)
    names = asked(monkeypatch)
    tool("domain", "passwordsettings", "set", "--account-lockout-threshold=5")
    try:
        guesses = [Thread(target=enter, args=(company, account, f"{WRONG} {n}")) for n in range(12)]
        for guess in guesses:
            guess.start()
        for guess in guesses:
            guess.join()
        assert names.count(account.name) == ldap_sign_in.ATTEMPTS, "however many come at once"
        assert errors(company) == [(ldap_sign_in.ATTEMPTS, True)]
        assert enter(company, account) is Failure.WRONG, "locked here"
        with client.signed_in(real_domain.domain, account):
            pass  # not locked there
        company.sql("UPDATE user_credentials SET locked_until = now() - interval '1 second'")
        assert isinstance(enter(company, account), SignedIn)
        assert errors(company) == [(0, False)]
    finally:
        tool("domain", "passwordsettings", "set", "--account-lockout-threshold=0")
    ((event,),) = company.sql(
        "SELECT after FROM audit_events WHERE activity = 'Lock sign-in' AND object_id = :u", u=str(user)
    )
    assert event == {"lockedForMinutes": ldap_sign_in.LOCKED_MINUTES}


def test_an_account_that_is_locked_there_is_told_like_a_wrong_password(
    company: Company, real_domain: RealDomain, domain: UUID
) -> None:
    tool = real_domain.controller.tool
    account = real_domain.user()
    synchronised(company, real_domain, domain, account)
    tool("domain", "passwordsettings", "set", "--account-lockout-threshold=1")
    try:
        assert enter(company, account, WRONG) is Failure.WRONG
        assert enter(company, account) is Failure.WRONG
    finally:
        tool("domain", "passwordsettings", "set", "--account-lockout-threshold=0")


def test_who_exists_is_not_told_by_words_or_time(company: Company, real_domain: RealDomain, domain: UUID) -> None:
    accounts = [real_domain.user() for _ in range(4)]
    for account in accounts:
        synchronised(company, real_domain, domain, account)
    nobody = [Account(f"nobody{n}@{real_domain.domain.name}", WRONG) for n in range(4)]

    def took(account: Account) -> float:
        start = time.perf_counter()
        assert enter(company, account, WRONG) is Failure.WRONG
        return time.perf_counter() - start

    took(nobody[0])
    known = statistics.median(took(a) for a in accounts)
    unknown = statistics.median(took(a) for a in nobody)
    company.sql("UPDATE user_credentials SET locked_until = now() + interval '5 minutes'")
    locked = statistics.median(took(a) for a in accounts)
    assert 0.5 < unknown / known < 2
    assert 0.5 < locked / known < 2


def test_unknown_names_are_not_shown_to_the_controller(
    company: Company, real_domain: RealDomain, domain: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guess at an account that is not of this tenant must not count against it in the domain."""
    synchronised(company, real_domain, domain, real_domain.user())
    names = asked(monkeypatch)
    assert enter(company, real_domain.administrator) is Failure.WRONG
    assert len(names) == 1
    assert not names[0].lower().startswith("administrator")
    assert enter(company, Account("somebody@elsewhere.example", WRONG)) is Failure.WRONG
    assert len(names) == 1, "no domain's people are called like that"


def test_while_no_controller_answers_nothing_is_counted_and_local_people_sign_in(
    company: Company, real_domain: RealDomain, domain: UUID, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    account = real_domain.user()
    synchronised(company, real_domain, domain, account)
    upn = f"glass@{real_domain.domain.name}"
    users.create(company.world.database, company.tenant, "test", user_principal_name=upn)
    credentials.set_password(company.world.database, company.tenant, "test", upn, LOCAL)
    monkeypatch.setattr(client, "CONNECT_SECONDS", 1.0)
    company.sql("UPDATE domains SET controllers = ARRAY['dc1.corp.contoso.test=127.0.0.9']")
    with caplog.at_level(logging.WARNING):
        for _ in range(ldap_sign_in.ATTEMPTS + 2):
            assert enter(company, account) is Failure.UNREACHABLE
    assert enter(company, Account(f"nobody@{real_domain.domain.name}", WRONG)) is Failure.UNREACHABLE
    assert enter(company, Account(upn, WRONG)) is Failure.UNREACHABLE
    assert isinstance(enter(company, Account(upn, LOCAL)), SignedIn), "break-glass"
    (row,) = company.sql("SELECT failed_attempts, locked_until FROM user_credentials WHERE password_hash IS NULL")
    assert tuple(row) == (0, None)
    assert len([r for r in caplog.records if "nobody can sign in" in r.message]) == 1, "said once in ten seconds"
    assert account.password not in caplog.text
    monkeypatch.setattr(ldap_sign_in, "_silence", ldap_sign_in._Silence())
    company.sql("UPDATE domains SET controllers = '{}'")
    assert isinstance(enter(company, account), SignedIn)


def test_one_person_at_a_time_tries_a_controller_that_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes connections and says nothing would else hold up everybody who signs in, local people too."""
    now = 1000.0
    monkeypatch.setattr("deskwright.identity.ldap_sign_in.time.monotonic", lambda: now)
    silence, domain = ldap_sign_in._Silence(), stranger()
    assert not silence.holds(domain)
    silence.begins(domain)
    assert silence.holds(domain)
    now += ldap_sign_in.SILENT_SECONDS
    assert [silence.holds(domain) for _ in range(3)] == [False, True, True]
    now += ldap_sign_in._TRIAL_SECONDS
    assert not silence.holds(domain), "whoever tried never came back"
    silence.ends(domain)
    assert [silence.holds(domain) for _ in range(3)] == [False, False, False]


def test_a_controller_that_cannot_be_trusted_gets_no_password(
    company: Company, real_domain: RealDomain, domain: UUID
) -> None:
    account = real_domain.user()
    synchronised(company, real_domain, domain, account)
    company.sql("UPDATE domains SET ca_certificate = NULL")
    assert enter(company, account) is Failure.UNREACHABLE


def test_whoever_got_the_name_of_another_is_not_them(company: Company, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    synchronised(company, real_domain, domain, account, source=stranger())
    assert enter(company, account) is Failure.WRONG


def test_another_tenants_domain_signs_nobody_in_here(company: Company, real_domain: RealDomain) -> None:
    """Not even where its administrator points a row of ours at their domain, or gives their people our names."""
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('other.example') RETURNING id")
    theirs = know(company, real_domain, tenant=other)
    account, victim = real_domain.user(), real_domain.user()
    synchronised(company, real_domain, theirs, account, tenant=other)
    synchronised(company, real_domain, theirs, victim)  # our person, their domain
    assert enter(company, victim) is Failure.WRONG
    assert enter(company, account, tenant=company.tenant.id) is Failure.WRONG
    who = enter(company, account)
    assert isinstance(who, SignedIn)
    assert who.tenant_id == other


def test_a_name_of_two_tenants_is_asked_of_no_domain_without_the_tenant(
    company: Company, real_domain: RealDomain, domain: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a tenant that gives somebody's name to a person of its own would be shown that person's password."""
    account = real_domain.user()
    synchronised(company, real_domain, domain, account)
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('other.example') RETURNING id")
    users.create(company.world.database, _ref(other), "test", user_principal_name=account.name)
    names = asked(monkeypatch)
    assert enter(company, account) is Failure.WRONG
    assert account.name not in names
    assert isinstance(enter(company, account, tenant=company.tenant.id), SignedIn)
    company.sql("UPDATE tenants SET name = :name WHERE id = :tenant", name=real_domain.domain.name)
    assert isinstance(enter(company, account), SignedIn), "the tenant that is called like that has the say"


def test_no_password_is_kept_or_logged(
    company: Company, real_domain: RealDomain, domain: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    account = real_domain.user()
    synchronised(company, real_domain, domain, account)
    secret = "Very.secret.0123456789"
    with caplog.at_level(logging.DEBUG):
        enter(company, account)
        enter(company, account, secret)
        company.sql("UPDATE domains SET ca_certificate = NULL")
        enter(company, account, secret)
    with company.world.database.single.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        kept = "".join(
            str(connection.execute(text(f'SELECT array_agg(t::text) FROM "{table}" t')).scalar_one())
            for table in list(tables)
        )
    for word in (secret, account.password):
        assert word not in caplog.text
        assert word not in kept


def _ref(tenant: object) -> TenantRef:
    return TenantRef(UUID(str(tenant)), "other.example")
