"""The authority and the server's certificate."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deskwright.domain.rules import Refused
from deskwright.identity import certificates


def test_keys_are_for_their_owner_alone_and_certificates_for_everyone(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    assert made.exist()
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.directory.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}


def test_it_is_for_this_machine_and_the_hosts_given(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, ["desktops.contoso.com", "10.1.2.3", "[fe80::1]", "bücher.example"])
    names = {"localhost", "127.0.0.1", "::1", "desktops.contoso.com", "10.1.2.3", "fe80::1", "xn--bcher-kva.example"}
    assert names <= set(made.hosts())


def test_made_again_the_authority_and_the_names_stay(tmp_path: Path) -> None:
    first = certificates.make(tmp_path, ["desktops.contoso.com"], days=10)
    authority, server, ends = first.authority.read_bytes(), first.server.read_bytes(), first.ends_at()
    again = certificates.make(tmp_path, ["other.contoso.com"], days=30)
    assert again.authority.read_bytes() == authority
    assert again.server.read_bytes() != server
    assert again.ends_at() > ends
    assert {"desktops.contoso.com", "other.contoso.com"} <= set(again.hosts())


def test_it_verifies_under_the_strictest_rules(tmp_path: Path) -> None:
    """A handshake in memory, as Python 3.13 and others verify by default."""
    made = certificates.make(tmp_path)
    client = ssl.create_default_context(cafile=str(made.authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.server, made.server_key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up, server_hostname="127.0.0.1")
    there = server.wrap_bio(up, down, server_side=True)
    waiting = [here, there]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert waiting == []


def test_it_does_not_outlive_its_authority(tmp_path: Path) -> None:
    years_ago = datetime.now(UTC) - timedelta(days=3600)
    certificates.make(tmp_path, now=years_ago)
    assert certificates.make(tmp_path, days=800).ends_at() < datetime.now(UTC) + timedelta(days=51)


@pytest.mark.parametrize("host", ["a b", "https://contoso.com", "a/b", "é" * 80])
def test_what_is_no_host_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(Refused, match="--host"):
        certificates.make(tmp_path, [host])
    assert not (tmp_path / "tls").exists()
