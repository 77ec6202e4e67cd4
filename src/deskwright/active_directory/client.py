"""A signed-in LDAP connection to a controller of a domain, by TLS, with the certificate verified."""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPSocketOpenError, LDAPStartTLSError
from ldap3.core.tls import Tls

from deskwright.active_directory.discovery import Controller, Domain, controllers
from deskwright.active_directory.problems import DirectoryProblem, Reason, bind_problem, words

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30  # whole ones: the library packs them
# What the library tells among everything that stands in the certificate, and what TLS itself says.
_OTHER_NAME = re.compile(r"doesn't match any name in \[[^]]*'([^']+)'\]")
_NOT_VERIFIED = re.compile(r"certificate verify failed: ([^(]+?) \(")


@dataclass(frozen=True)
class Account:
    name: str
    """User principal name."""
    password: str = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """A signed-in connection. `ldap` raises ldap3's exceptions (`raise_exceptions`)."""

    domain: Domain
    controller: Controller
    ldap: ldap3.Connection = field(repr=False)


@contextmanager
def signed_in(domain: Domain, account: Account) -> Iterator[Opened]:
    """Sign in at the first controller that answers. Raises DirectoryProblem."""
    if not account.password:  # an empty one would be an anonymous bind, which succeeds
        raise DirectoryProblem(Reason.INCORRECT_CREDENTIALS, f"{account.name} has no password")
    opened = _open(domain, account)
    try:
        yield opened
    finally:
        opened.ldap.unbind()


def _open(domain: Domain, account: Account) -> Opened:
    silent: DirectoryProblem | None = None
    for controller in controllers(domain):
        try:
            return Opened(domain, controller, _connection(domain, controller, account))
        except DirectoryProblem as problem:
            if problem.reason is not Reason.SERVER_NOT_OPERATIONAL:
                raise
            silent = problem  # the next one may answer
    assert silent is not None  # there is at least one controller
    raise silent


def connected(domain: Domain, controller: Controller) -> ldap3.Connection:
    """A connection to one controller by verified TLS, not signed in. Raises DirectoryProblem."""
    return _connected(domain, controller, None)


def port_of(domain: Domain, controller: Controller) -> int:
    return controller.port or (389 if domain.start_tls else 636)


def where(domain: Domain, controller: Controller) -> str:
    """A controller, for messages."""
    return f"{controller.host} ({controller.address}:{port_of(domain, controller)})"


def _connection(domain: Domain, controller: Controller, account: Account) -> ldap3.Connection:
    connection = _connected(domain, controller, account)
    try:
        connection.bind()
    except LDAPException as error:
        connection.unbind()
        raise bind_problem(error, account.name, where(domain, controller)) from error
    return connection


def _connected(domain: Domain, controller: Controller, account: Account | None) -> ldap3.Connection:
    tls = Tls(
        validate=ssl.CERT_REQUIRED,
        version=ssl.PROTOCOL_TLS_CLIENT,
        ca_certs_data=domain.ca_certificate or None,
        valid_names=[controller.host],
    )
    server = ldap3.Server(
        controller.address,
        port=port_of(domain, controller),
        use_ssl=not domain.start_tls,
        tls=tls,
        get_info=ldap3.NONE,
        connect_timeout=CONNECT_SECONDS,
    )
    connection = ldap3.Connection(
        server,
        user=account.name if account else None,
        password=account.password if account else None,
        authentication=ldap3.SIMPLE if account else ldap3.ANONYMOUS,
        raise_exceptions=True,
        receive_timeout=ANSWER_SECONDS,
        auto_referrals=False,
    )
    try:
        connection.open()
        if domain.start_tls:
            connection.start_tls()
    except LDAPException as error:
        if connection.socket is not None:  # the library leaves it open
            connection.socket.close()
        raise _not_open(error, where(domain, controller)) from error
    return connection


def _not_open(error: LDAPException, where: str) -> DirectoryProblem:
    said = words(error)
    bad = "certificate" in said.lower() and isinstance(error, (LDAPSocketOpenError, LDAPStartTLSError))
    if not bad:
        return DirectoryProblem(Reason.SERVER_NOT_OPERATIONAL, f"{where}: {said}")
    other_name, why = _OTHER_NAME.search(str(error)), _NOT_VERIFIED.search(said)
    if other_name:
        said = f"certificate is for another name than {other_name[1]}"
    elif why:
        said = f"certificate verify failed: {why[1]}"
    return DirectoryProblem(Reason.CERTIFICATE_NOT_TRUSTED, f"{where}: {said}")


def reachable(address: str, port: int, seconds: float = CONNECT_SECONDS) -> bool:
    """Whether a TCP connection can be made."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError:
        return False
    return True
