"""A0 tries the remote desktop where the machine offers one: inside, and from here where this is the gateway."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

from deskwright.domain.status import Status
from deskwright.providers import rdp
from deskwright.providers.libvirt import remote_desktop
from deskwright.providers.libvirt.remote_desktop import Offer, found, reached, script
from tests.libvirt.real_company import RealCompany
from tests.providers.test_rdp import CONFIRM, OLD, answering, failing

HERE = "127.0.0.1"
_SPEAK = r"head -c 19 >/dev/null; printf '\003\000\000\023\016\320\000\000\022\064\000\002\000\010\000\001\000\000\000'"


@pytest.fixture
def port() -> int:
    """At which nothing listens."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        return int(free.getsockname()[1])


def inside(port: int, path: str = os.environ["PATH"]) -> Offer | None:
    """What the script for Linux finds, run here."""
    ran = script("linux", HERE, port)
    done = subprocess.run(
        ran.interpreter, input=ran.text, capture_output=True, text=True, env={"PATH": path}, timeout=20, check=True
    )
    return found(done.stdout, HERE)


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH without xrdp, which may be installed here."""
    for name in ("awk", "bash", "cat", "head", "od", "timeout", "tr"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    return str(tmp_path)


def test_a0_a_machine_without_remote_desktop_offers_none(port: int, programs: str) -> None:
    assert inside(port, programs) is None


def test_a0_one_that_is_installed_and_does_not_run_is_waited_for(port: int, programs: str) -> None:
    Path(programs, "xrdp").symlink_to("/bin/true")
    with pytest.raises(rdp.NotAnswered, match="nothing listens there"):
        inside(port, programs)


@pytest.mark.parametrize(("answer", "security"), [(CONFIRM, "TLS"), (OLD, "RDP's own security")])
def test_a0_inside_the_machine_it_is_asked_as_a_client_asks(answer: bytes, security: str) -> None:
    with answering(answer, stays=True) as (port, asked):
        assert inside(port) == Offer(HERE, security)
    assert asked == [rdp.ASKED]


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"", failing(3)])
def test_a0_what_is_no_remote_desktop_does_not_pass_for_one(answer: bytes) -> None:
    with answering(answer) as (port, _), pytest.raises(rdp.NotAnswered):
        inside(port)


def test_a0_one_that_takes_connections_and_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_desktop, "SECONDS", 1.0)
    with answering(b"", stays=True) as (port, _), pytest.raises(rdp.NotAnswered, match="did not answer within 1 s"):
        inside(port)


def test_a0_without_bash_it_says_that_it_could_not_be_tried(programs: str) -> None:
    Path(programs, "bash").unlink()
    with answering(CONFIRM) as (port, _):
        offer = inside(port, programs)
    assert offer is not None
    assert "no bash" in reached(offer, "", port)


def test_an_address_is_one_before_it_stands_in_a_script() -> None:
    """The machine tells it, in networks of others."""
    with pytest.raises(ValueError, match="does not appear to be"):
        script("linux", "$(reboot)")


def test_the_script_for_windows_is_one_block_of_powershell() -> None:
    text = script("windows", "10.90.0.2").text
    root = Parser(Language(tree_sitter_powershell.language())).parse(text.encode()).root_node
    assert not root.has_error
    assert "\n\n" not in text[:-2]
    assert text.endswith("\n}\n\n")
    assert "('10.90.0.2', 3389).Wait(3000)" in text
    assert "[byte[]](3, 0, 0, 19, 14, 224," in text


@pytest.mark.parametrize(
    ("printed", "expected"),
    [("none\r\n", None), (f"answer {CONFIRM.hex().upper()}\r\n", Offer("10.90.0.2", "TLS"))],
)
def test_what_windows_prints_is_understood(printed: str, expected: Offer | None) -> None:
    assert found(printed, "10.90.0.2") == expected


@pytest.mark.parametrize("printed", ["", "error timed out", "answer xyz", "answer ", "Get-ItemProperty : no such path"])
def test_everything_else_that_is_printed_is_no_answer(printed: str) -> None:
    with pytest.raises(rdp.NotAnswered):
        found(printed, "10.90.0.2")


def test_a0_from_here_it_is_tried_where_the_gateway_is() -> None:
    """P7 lets in nobody else: only who belongs to the gateway's network must be answered."""
    with answering(CONFIRM) as (port, asked):
        offer = Offer(HERE, "TLS")
        assert f"{HERE}:{port} answered to 127.0.0.1 in " in reached(offer, "127.0.0.0/8", port)
        assert len(asked) == 1
        assert "not tried from here: only 192.0.2.1 is let in" in reached(offer, "192.0.2.1", port)
        assert "nobody is let in" in reached(offer, "", port)
        assert len(asked) == 1


def test_a0_from_the_gateway_it_must_be_answered(port: int) -> None:
    with pytest.raises(rdp.NotAnswered, match=r"refused, from 127\.0\.0\.1, which belongs to the gateway's network"):
        reached(Offer(HERE, "TLS"), "127.0.0.1", port)


@pytest.mark.guests
def test_a0_in_a_real_machine(firm: RealCompany) -> None:
    """One that does not answer fails the attempt at the deadline, with its address; the next one answers."""
    firm.settle_in("adele")
    firm.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")  # so that there is a pause between the attempts
    firm.begin("adele")
    firm.die_in("adele", "P7")
    # The tiny image has no remote desktop: something of that name, as if it were still starting.
    firm.inside("adele", "ln -s /bin/true /usr/local/bin/xrdp")
    firm.carry_on(lambda: "remote desktop" in firm.waits_for())
    at = f"{firm.inside('adele', 'hostname -I').split()[0]}:3389"
    assert f"at {at} does not answer: nothing listens there" in firm.waits_for()
    firm.advance(minutes=21)
    code, message = firm.ended_with("adele", "A0")
    assert code == "endpointCheckFailed"
    assert f"{at} does not answer" in message

    firm.die_in("adele", "P7")
    firm.inside("adele", f'busybox nc -ll -p 3389 -e sh -c "{_SPEAK}" >/dev/null 2>&1 &')
    firm.until_status("adele", Status.PROVISIONED)
    (row,) = [s for s in firm.last_steps("adele") if (s.step, s.attempt) == ("A0", 2)]
    assert "console answered" in row.output
    assert "answered in the machine itself (TLS); not tried from here: only 127.0.0.1 is let in" in row.output
    firm.give_up("adele")
    firm.nothing_left()
