"""Signing in with the password of an Active Directory domain: a bind at one of its controllers, as the person.

The password goes to the controller, by TLS, and nowhere else. Errors are counted here before the controller is asked,
and after a few it is not asked for a while: guesses at our page do not lock the account in the domain, whose policy
usually allows five. While no controller answers, nobody is counted and nobody waits long.
"""

import logging
import secrets as random
import threading
import time
from dataclasses import dataclass
from uuid import UUID

from ldap3 import BASE
from ldap3.core.exceptions import LDAPException, LDAPNoSuchObjectResult
from sqlalchemy import Connection, text

from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.problems import DirectoryProblem, Reason, words
from deskwright.identity.failures import Failure
from deskwright.identity.passwords import LONGEST
from deskwright.store import audit, domains
from deskwright.store.database import Database

log = logging.getLogger(__name__)

ATTEMPTS = 4
LOCKED_MINUTES = 30
"""The window in which Active Directory counts, unless its administrator chose another."""
SILENT_SECONDS = 10.0
"""So long after a controller did not answer the next person is not kept waiting for it."""
_TRIAL_SECONDS = 60.0
"""Longer than a controller is waited for."""

_ANSWERS = {
    Reason.INCORRECT_CREDENTIALS: Failure.WRONG,
    Reason.UNKNOWN_ACCOUNT: Failure.WRONG,
    Reason.ACCOUNT_LOCKED: Failure.WRONG,  # said whatever the password is
    Reason.ACCOUNT_DISABLED: Failure.DISABLED,
    Reason.PASSWORD_EXPIRED: Failure.PASSWORD_EXPIRED,
    Reason.PASSWORD_MUST_CHANGE: Failure.MUST_CHANGE,
    Reason.ACCOUNT_EXPIRED: Failure.ACCOUNT_EXPIRED,
    Reason.NOT_NOW: Failure.NOT_NOW,
    Reason.NOT_FROM_HERE: Failure.NOT_NOW,
}
# Whose people's names end so; where a tenant is called like that, only its own domain.
_OF_SUFFIX = text(
    """
    SELECT d.id FROM domains d JOIN tenants t ON t.id = d.tenant_id
     WHERE d.sign_in = 'ldap' AND (CAST(:tenant AS uuid) IS NULL OR d.tenant_id = :tenant)
       AND (CAST(:tenant AS uuid) IS NOT NULL OR lower(t.name) = :suffix
            OR NOT EXISTS (SELECT 1 FROM tenants o WHERE lower(o.name) = :suffix))
       AND EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = d.tenant_id AND u.domain_id = d.id
                      AND u.deleted_at IS NULL AND lower(split_part(u.user_principal_name, '@', 2)) = :suffix)
     ORDER BY d.created_at, d.id LIMIT 1
    """
)
_COUNT = text(
    """
    INSERT INTO user_credentials AS c (user_id, tenant_id, failed_attempts) VALUES (:user, :tenant, 1)
    ON CONFLICT (user_id) DO UPDATE
       SET failed_attempts = CASE WHEN c.locked_until IS NULL THEN c.failed_attempts + 1 ELSE 1 END,
           locked_until = CASE WHEN c.locked_until IS NULL AND c.failed_attempts + 1 >= :most
                               THEN now() + make_interval(mins => :minutes) END
     WHERE COALESCE(c.locked_until <= now(), true)
    RETURNING locked_until IS NOT NULL AS last
    """
)
_UNDO = text(
    "UPDATE user_credentials SET failed_attempts = greatest(failed_attempts - 1, 0), locked_until = NULL "
    "WHERE user_id = :user"
)
_CLEAR = text("UPDATE user_credentials SET failed_attempts = 0, locked_until = NULL WHERE user_id = :user")


@dataclass(frozen=True)
class Bound:
    """A person whose password a domain keeps."""

    user_id: UUID
    tenant_id: UUID
    user_principal_name: str
    name: str
    """Theirs in the domain: a user principal name."""
    domain_id: UUID
    source_id: UUID | None
    """Their objectGUID there; None: not known."""


def check(database: Database, person: Bound, password: str) -> Failure | None:
    """Ask the domain whether it is the person's password; None: it is, and they may sign in there."""
    with database.begin() as connection:
        of = {"user": person.user_id, "tenant": person.tenant_id, "most": ATTEMPTS, "minutes": LOCKED_MINUTES}
        counted = connection.execute(_COUNT, of).one_or_none()
    if counted is None:
        return ask_as_nobody(database, person.domain_id)
    failure = _bind(database, person.domain_id, Account(person.name, password), person.source_id)
    with database.begin() as connection:
        if failure is Failure.UNREACHABLE:
            connection.execute(_UNDO, {"user": person.user_id})
        elif failure is not Failure.WRONG:
            connection.execute(_CLEAR, {"user": person.user_id})
        elif counted.last:
            after = {"lockedForMinutes": LOCKED_MINUTES}
            locked = audit.event(person.user_id, person.user_principal_name, None, after)
            audit.write(connection, person.tenant_id, "deskwright", "Lock sign-in", "user", [locked])
    return failure


def domain_of(connection: Connection, tenant: UUID | None, user_principal_name: str) -> UUID | None:
    """The domain that would be asked about a name like this one, whether or not anybody has it."""
    suffix = user_principal_name.rpartition("@")[2].lower()
    found: UUID | None = connection.execute(_OF_SUFFIX, {"tenant": tenant, "suffix": suffix}).scalar_one_or_none()
    return found


def ask_as_nobody(database: Database, domain: UUID) -> Failure:
    """As long as a wrong password takes, so that time does not tell who exists; no account of the domain is named."""
    known = domains.by_id(database.single, domain)
    name = known.domain.name if known else "localhost"
    account = Account(f"{random.token_hex(10)}@{name}", random.token_urlsafe(24))
    return Failure.UNREACHABLE if _bind(database, domain, account, None) is Failure.UNREACHABLE else Failure.WRONG


def _bind(database: Database, domain: UUID, account: Account, source: UUID | None) -> Failure | None:
    known = domains.by_id(database.single, domain)
    if known is None or _silence.holds(domain):
        return Failure.UNREACHABLE
    if not 0 < len(account.password) <= LONGEST:
        return Failure.WRONG
    try:
        with signed_in(known.domain, account) as opened:
            _silence.ends(domain)
            return None if source is None or _is(opened, account.name, source) else Failure.WRONG
    except DirectoryProblem as problem:
        failure = _ANSWERS.get(problem.reason, Failure.UNREACHABLE)
        said: object = problem
    except LDAPException as error:  # between bind and answer
        failure, said = Failure.UNREACHABLE, words(error)
    if failure is not Failure.UNREACHABLE:
        _silence.ends(domain)
    else:
        _silence.begins(domain)
        log.warning("nobody can sign in with passwords of %s: %s", known.domain.name, said)
    return failure


def _is(opened: Opened, name: str, source: UUID) -> bool:
    """Whether the object that this person was synchronised from still has the name that has just signed in.

    Names are given anew, object ids are not: whoever got the name of somebody who left is not them.
    """
    wanted = ["userPrincipalName", "sAMAccountName"]
    try:
        opened.ldap.search(f"<GUID={source}>", "(objectClass=user)", BASE, attributes=wanted)
    except LDAPNoSuchObjectResult:
        return False
    for entry in opened.ldap.response or ():
        had = {key: values[0].decode() for key, values in entry.get("raw_attributes", {}).items() if values}
        implied = f"{had.get('sAMAccountName', '')}@{opened.domain.name}"
        if name.lower() in (had.get("userPrincipalName", implied).lower(), implied.lower()):
            return True
    log.warning("%s signed in at %s, but is not who was synchronised by that name", name, opened.domain.name)
    return False


class _Silence:
    """Which domains did not answer when they were last asked, in this process.

    When the time is over, one person's question is the trial; the others are told at once until it has ended.
    """

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}
        self._lock = threading.Lock()

    def holds(self, domain: UUID) -> bool:
        now = time.monotonic()
        with self._lock:
            until = self._until.get(domain)
            if until is None:
                return False
            if until <= now:
                self._until[domain] = now + _TRIAL_SECONDS
            return until > now

    def begins(self, domain: UUID) -> None:
        with self._lock:
            self._until[domain] = time.monotonic() + SILENT_SECONDS

    def ends(self, domain: UUID) -> None:
        with self._lock:
            self._until.pop(domain, None)


_silence = _Silence()
