"""The tiny image, built from Debian's packages and started in an emulated machine: up in seconds, and all it must do.

Slow where the packages are not in the cache yet: name a directory to keep them in DESKWRIGHT_IMAGE_CACHE.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deskwright.images import check
from deskwright.images.build import Built, build
from deskwright.images.seed import seed
from tests.images.machine import Machine, machine

pytestmark = pytest.mark.guests

AGENT_SECONDS = 60.0
"""Far above what is measured (6 to 8 on two free cores): the machine of the test may be busy."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built anew from kept packages: a test of yesterday's image would prove nothing about today's recipe."""
    kept = os.environ.get("DESKWRIGHT_IMAGE_CACHE")
    cache = Path(kept) if kept else Path(tempfile.gettempdir(), f"deskwright-image-cache-{os.geteuid()}")
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if cache.stat().st_uid != os.geteuid():
        pytest.fail(f"{cache} belongs to somebody else: set DESKWRIGHT_IMAGE_CACHE")
    into = tmp_path_factory.mktemp("images") / "debian-12-tiny"
    return build("debian-12-tiny", into, lambda fraction, doing: None, cache=cache)


@pytest.fixture(scope="module")
def guest(tiny: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("guest")
    (directory / "seed.iso").write_bytes(seed("i-0001", "cpc-anna-01"))
    with machine(tiny, directory, seed=directory / "seed.iso") as started:
        print(f"the agent answered after {started.wait_for_agent(AGENT_SECONDS):.1f} s")
        yield started


def until(seen: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.3)


def sh(guest: Machine, script: str) -> str:
    code, output = guest.run("/bin/sh", "-c", script)
    assert code == 0, output
    return output.strip()


def test_the_image_is_generalised(tiny: Built, tmp_path: Path) -> None:
    assert check.findings(tiny.disk, tmp_path) == []


def test_the_agent_runs_programs_as_root(guest: Machine) -> None:
    assert sh(guest, "id -un") == "root"


def test_a_machine_just_started_has_an_identity_of_its_own(guest: Machine) -> None:
    assert sh(guest, check.generalised_script()) == "ok"
    assert len(sh(guest, "cat /etc/machine-id")) == 32


def test_what_came_with_an_image_is_found_inside_the_machine(guest: Machine) -> None:
    sh(guest, "touch -d 2020-01-01 /etc/ssh_old; mkdir -p /etc/ssh; echo k >/etc/ssh/ssh_host_rsa_key")
    sh(guest, "touch -d 2020-01-01 /etc/ssh/ssh_host_rsa_key; useradd -p '' anna; touch /etc/krb5.keytab")
    try:
        found = sh(guest, check.generalised_script()).splitlines()
    finally:
        sh(guest, "rm -r /etc/ssh /etc/ssh_old /etc/krb5.keytab; userdel anna")
    assert [line.split(" ", 3)[:3] for line in found] == [
        ["/etc/ssh/ssh_host_rsa_key", "came", "with"],
        ["the", "account", "anna"],
        ["it", "is", "joined"],
    ]


def test_it_takes_its_name_from_the_seed_and_shows_a_login(guest: Machine) -> None:
    until(lambda: "cpc-anna-01 login:" in guest.console())
    assert sh(guest, "hostname") == "cpc-anna-01"
    assert sh(guest, "ps | grep -c '[a]getty.*tty1'") == "1"


def test_a_card_plugged_in_while_it_runs_gets_an_address(guest: Machine) -> None:
    assert sh(guest, "ls /sys/class/net") == "lo"
    guest.plug_network()
    until(lambda: "10.0.2.15/24" in sh(guest, "ip -4 -br address"))
    assert "default via 10.0.2.2" in sh(guest, "ip route")
    assert "nameserver 10.0.2.3" in sh(guest, "cat /etc/resolv.conf")


def test_accounts_and_the_firewall_work(guest: Machine) -> None:
    sh(guest, "useradd -m anna && echo anna:Secret-12 | chpasswd && usermod -aG sudo anna && userdel -r anna 2>&1")
    sh(guest, "nft add table inet deskwright && nft list tables | grep deskwright")


def test_the_root_grows_with_its_disk(guest: Machine) -> None:
    guest.monitor.ask("block_resize", device="virtio0", size=3 * 1024**3)
    until(lambda: sh(guest, "blockdev --getsize64 /dev/vda") == str(3 * 1024**3))
    sh(guest, "resize2fs /dev/vda 2>&1")
    assert int(sh(guest, "df --output=size -BM / | tail -1").strip("M")) > 2700


def test_it_turns_itself_off_when_asked_last(guest: Machine) -> None:
    with contextlib.suppress(TimeoutError, ConnectionError):  # the agent may be gone before it has answered
        guest.agent.ask("guest-shutdown", 2)
    assert guest.process.wait(30) == 0


def test_the_power_button_turns_it_off_and_nothing_is_lost(tiny: Built, tmp_path: Path) -> None:
    with machine(tiny, tmp_path) as started:
        started.wait_for_agent(AGENT_SECONDS)
        until(lambda: "login:" in started.console())
        until(lambda: sh(started, "ps | grep -c '[h]ead -c 24' || true") == "1")
        sh(started, "echo kept >/root/note")
        started.monitor.ask("system_powerdown")
        assert started.process.wait(30) == 0
        assert "recovery" not in started.console()
