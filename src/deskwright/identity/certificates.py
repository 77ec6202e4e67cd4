"""https for one installation: a certificate authority of its own, and a server certificate signed by it.

In `tls/` of the data directory: ca.pem (what clients trust), ca.key, server.pem, server.key; the keys for their owner
alone. Made again, the authority stays and the server's certificate is renewed, so that clients need nothing new.
"""

import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deskwright.domain.rules import Refused

DAYS = 397
LONGEST_DAYS = 825
"""What Apple's systems accept of an authority that was added by hand."""
_AUTHORITY_DAYS = 3650
_ALWAYS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificates:
    """Where they are."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def authority_key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def server(self) -> Path:
        return self.directory / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    def exist(self) -> bool:
        return self.server.exists() and self.server_key.exists()

    def ends_at(self) -> datetime:
        return _read(self.server).not_valid_after_utc

    def hosts(self) -> list[str]:
        """The names and addresses that the server's certificate is for."""
        names = _read(self.server).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(n.value) for n in names]


def of(data_dir: Path) -> Certificates:
    return Certificates(data_dir / "tls")


def make(data_dir: Path, hosts: Iterable[str] = (), days: int = DAYS, now: datetime | None = None) -> Certificates:
    """Make the authority where there is none, and a server certificate for this machine's names and `hosts`.

    Names of an earlier certificate stay. Raises Refused for a host that is no name and no address.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise Refused("--days", days, f"must be 1 to {LONGEST_DAYS}")
    there, now = of(data_dir), now or datetime.now(UTC)
    wanted = [*_ALWAYS, socket.gethostname(), *(there.hosts() if there.server.exists() else ()), *hosts]
    names = x509.SubjectAlternativeName(list(dict.fromkeys(_name(host) for host in wanted if host)))
    there.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not (there.authority.exists() and there.authority_key.exists()):
        _make_authority(there, now)
    authority = _read(there.authority)
    authority_key = serialization.load_pem_private_key(there.authority_key.read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + timedelta(days=days), authority.not_valid_after_utc)
    certificate = (
        _begin(_subject("Deskwright"), authority.subject, key, now, until)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(there.server_key, _pem(key), secret=True)
    _write(there.server, certificate.public_bytes(serialization.Encoding.PEM))
    return there


def _make_authority(there: Certificates, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own for each: two installations' authorities can be trusted side by side.
    subject = _subject(f"Deskwright authority of {socket.gethostname()} {now:%Y-%m-%d}")
    certificate = (
        _begin(subject, subject, key, now, now + timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(there.authority_key, _pem(key), secret=True)
    _write(there.authority, certificate.public_bytes(serialization.Encoding.PEM))


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clients' clocks may be behind
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs,
        crl_sign=not signs,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        plain = host.encode("idna").decode()
    except UnicodeError:
        plain = ""
    if not plain or not all(c.isalnum() or c in "-.*_" for c in plain):
        raise Refused("--host", host, "must be a host name or an IP address")
    return x509.DNSName(plain)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """At once or not at all, and a key never readable for others, not even for a moment."""
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644), "wb") as file:
        file.write(content)
    fresh.replace(path)
