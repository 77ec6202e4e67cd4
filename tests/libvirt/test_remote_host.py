"""A host that is not this machine, reached by ssh: as a site, with the consoles of its machines."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deskwright.domain.status import Status
from deskwright.operations import consoles
from deskwright.providers.libvirt import over_ssh, screens
from deskwright.providers.libvirt.configuration import configuration
from deskwright.providers.libvirt.sandbox import Sandbox
from tests.images.parts import program
from tests.libvirt.real_company import RealCompany
from tests.providers.viewer import connected

ADELE = "adele@contoso.com"
HERE, THERE, PORT = "10.88.9.1", "10.88.9.2", 2222


@dataclass(frozen=True)
class Remote:
    uri: str


@pytest.fixture
def remote(host: Sandbox, tmp_path: Path) -> Iterator[Remote]:
    """The tests' own host, with a cable to its network and an sshd in it that takes one key."""
    if shutil.which("sshd", path="/usr/sbin") is None or shutil.which("virt-ssh-helper") is None:
        pytest.skip("needs openssh-server and libvirt's virt-ssh-helper")
    for name in ("host", "own"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    told = {
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "own.pub",
        "ListenAddress": THERE,
        "Port": PORT,
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
    }
    (tmp_path / "sshd").write_text("".join(f"{name} {value}\n" for name, value in told.items()))
    pid = (host.directory / "run" / "virtlogd.pid").read_text().strip()
    cable = f"dwr{os.getpid() % 100000}"
    ip = ["ip", "link", "add", cable, "type", "veth", "peer", "name", "outside", "netns", pid]
    subprocess.run(ip, check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{HERE}/30", "dev", cable], check=True)
        subprocess.run(["ip", "link", "set", cable, "up"], check=True)
        host.in_network("ip", "address", "add", f"{THERE}/30", "dev", "outside")
        host.in_network("ip", "link", "set", "outside", "up")
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, whatever it is for
        inside = ["nsenter", f"--target={pid}", "--mount", "--net", "--"]
        with subprocess.Popen([*inside, "/usr/sbin/sshd", "-D", "-e", "-f", tmp_path / "sshd"]) as daemon:
            try:
                _wait_for(THERE, PORT)
                # Its key is another one each time, and no business of who runs the tests.
                program(tmp_path, "ssh", 'exec /usr/bin/ssh -o UserKnownHostsFile=/dev/null "$@"')
                given = f"keyfile={tmp_path}/own&no_verify=1&command={tmp_path}/ssh"
                yield Remote(f"qemu+ssh://root@{THERE}:{PORT}/system?{given}")
            finally:
                daemon.kill()
    finally:
        subprocess.run(["ip", "link", "delete", cable], check=True)


def _wait_for(address: str, port: int) -> None:
    ends = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection((address, port), 1).close()
            return
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.guests
def test_a_site_on_another_host_has_all_but_the_network_of_that_host(remote: Remote, firm: RealCompany) -> None:
    """E1, A0, L4: made, looked at over ssh, seen by a person, and taken away."""
    firm.settle_in("adele", uri=remote.uri)
    firm.until_status("adele", Status.PROVISIONED)
    (row,) = [s for s in firm.last_steps("adele") if s.step == "A0"]
    assert "console answered" in row.output
    ticket = consoles.open_console(firm.world, firm.tenant, "test", ADELE)
    screen = consoles.screen_of(firm.world, firm.tenant, "test", ticket.sealed)
    assert screen is not None
    with connected(screen) as viewer:
        assert viewer.open(ticket.password).picture.size > (1, 1)
    assert consoles.screenshot(firm.world, firm.tenant, "test", ADELE).startswith(b"\x89PNG")
    firm.give_up("adele")
    firm.nothing_left()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("qemu+ssh://lab/system", "ssh -W 127.0.0.1:5900 -- lab"),
        ("qemu+ssh://anna@lab:2222/system", "ssh -p 2222 -l anna -W 127.0.0.1:5900 -- lab"),
        (
            "qemu+ssh://[fd00::1]/system?keyfile=/k%20y&no_verify=1&command=/opt/ssh",
            "/opt/ssh -i /k y -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -W 127.0.0.1:5900 -- fd00::1",
        ),
        ("qemu+ssh://-oProxyCommand=x/system", "ssh -W 127.0.0.1:5900 -- -oproxycommand=x"),
    ],
)
def test_the_way_is_the_one_that_libvirt_takes(uri: str, words: str) -> None:
    always = "-T -o BatchMode=yes -o ConnectTimeout=10 -o LogLevel=ERROR "
    assert " ".join(over_ssh.command(uri, "127.0.0.1", 5900)).replace(always, "") == words


def test_a_way_that_breaks_is_a_connection_that_ends(tmp_path: Path) -> None:
    program(tmp_path, "broken", "exit 255")
    with over_ssh.connect(f"qemu+ssh://lab/system?command={tmp_path}/broken", "127.0.0.1", 5900, 5) as wire:
        assert wire.recv(1) == b""
    with pytest.raises(OSError, match="is not installed here"):
        over_ssh.connect("qemu+ssh://lab/system?command=/none", "127.0.0.1", 5900, 5)


def test_without_ssh_the_screen_must_listen_where_it_can_be_reached() -> None:
    """It is not this machine's loopback that is looked at."""
    from deskwright.providers.contract import Screen

    at = configuration({"uri": "qemu+tls://lab/system"}, "lab")
    with pytest.raises(OSError, match=r"compute\.console of the site must be reached from here"):
        screens.reached(None, at, Screen("127.0.0.1", 5900))
