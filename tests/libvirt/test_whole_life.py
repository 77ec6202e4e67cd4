"""One machine's life on a real host, from the licence to the end of the clean-up, looked at from inside and outside."""

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from deskwright.domain.resources import Kind
from deskwright.domain.status import Status
from deskwright.guest.configuration import HIGH_RISK_TCP, HIGH_RISK_UDP
from deskwright.operations import cloud_pcs, consoles, timeline
from deskwright.provision.pipeline import STEPS
from tests.company import PLAN
from tests.libvirt.real_company import RealCompany
from tests.providers.viewer import RETURN, Viewer, connected

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"
SHIFT = 0xFFE1
CHOSEN = "Harbour-Lantern-42"
"""What the user changes the one-time password to."""


def test_a_whole_life(firm: RealCompany) -> None:
    """E1, C1-C6, P1-P7, A0, A1, V5, E8, L1-L4: made, looked at, used, made anew, lost and cleaned up."""
    firm.settle_in("adele", plan=PLAN, local_admin=True)
    firm.until_status("adele", Status.PROVISIONED)
    expected = dict.fromkeys(STEPS, "succeeded") | {"P4": "skipped"}
    assert firm.outcomes("adele") == expected
    what_the_steps_left_inside(firm)
    what_stands_outside(firm)
    password = timeline.reveal_sign_in(firm.world, firm.tenant, "test", ADELE)["oneTimePassword"]
    somebody_signs_in(firm, password)
    nowhere_told(firm, password)
    made_anew(firm)
    firm.give_up("adele")
    assert firm.status("adele") is None
    firm.nothing_left()
    assert sorted(f.kind for f in firm.everything()) == [Kind.NETWORK, Kind.SECURITY_GROUP]


def what_the_steps_left_inside(firm: RealCompany) -> None:
    left = firm.left("adele")
    name = left["computerName"]

    def inside(script: str) -> str:
        return firm.inside("adele", script)

    # C4: its name, and what it is recorded as.
    assert inside("hostname; cat /etc/hostname; getent hosts $(hostname) | awk '{ print $2 }'").split() == [name] * 3
    device = json.loads(inside("cat /etc/deskwright/device.json"))
    assert (device["displayName"], device["model"], device["enrollmentProfileName"]) == (name, PLAN, "Desktops")
    # C5: enrolled as that device, by a token that only root may read.
    enrolment = json.loads(inside("cat /etc/deskwright/enrolment.json"))
    assert (enrolment["deviceName"], enrolment["azureADDeviceId"]) == (name, left["deviceId"])
    assert len(enrolment["token"]) > 30
    assert inside("stat -c '%a %U' /etc/deskwright/enrolment.json") == "600 root"
    # C6 and A1: the account, enabled, with a password that must be changed, and who may sign in.
    _, hashed, changed, *_, expires, _ = inside("grep ^adele: /etc/shadow").split(":")
    assert hashed.startswith("$")
    assert (changed, expires) == ("0", "")
    # P3
    assert {"sudo", "tsusers"} <= set(inside("id -nG adele").split())
    # P1, P2, P5
    assert "login1" in inside("cat /etc/polkit-1/rules.d/50-deskwright-power.rules")
    assert inside("cat /etc/xdg/xfce4/kiosk/kioskrc").endswith("Shutdown=NONE")
    assert inside("cat /etc/default/grub.d/50-deskwright.cfg") == 'GRUB_DISABLE_RECOVERY="true"'
    assert inside(". /etc/profile.d/deskwright-time-zone.sh; echo $?") == "0"
    # P6: all of the licence's disk.
    size = int(inside("stat -f -c '%b %S' / | awk '{ printf \"%.0f\", $1 * $2 }'"))
    assert size > 0.95 * 128 * 1000**3
    # P7
    for protocol, ports in (("tcp", HIGH_RISK_TCP), ("udp", HIGH_RISK_UDP)):
        listed = inside(f"nft list set inet deskwright closed_{protocol} | tr -d '\\n'")
        elements = listed.partition("elements = {")[2].partition("}")[0]
        assert [int(n) for n in elements.split(",")] == list(ports)
    assert "ip saddr 127.0.0.1 accept" in inside("nft list chain inet deskwright inbound")
    # C2 and C3: what the licence gives, and the address that everybody is told.
    assert inside("nproc") == "2"
    assert int(inside("awk '/MemTotal/ { print $2 }' /proc/meminfo")) > 7.5 * 1024**2
    assert left["ipAddress"] in inside("ip -4 -o address show scope global")


def what_stands_outside(firm: RealCompany) -> None:
    left, pc, machine = firm.left("adele"), firm.pc("adele"), firm.machine("adele")
    assert (pc.device_name, pc.ip_address) == (left["computerName"], left["ipAddress"])
    lease = firm.host.in_network("cat", f"/var/lib/libvirt/dnsmasq/{firm.bridge()}.status")
    assert [entry["ip-address"] for entry in json.loads(lease)] == [pc.ip_address]
    assert firm.kept_addresses() == {pc.ip_address}
    assert f"<title>{pc.device_name} - {ADELE}</title>" in machine.XMLDesc()
    assert firm.leaks() == set()
    picture = consoles.screenshot(firm.world, firm.tenant, "test", ADELE)
    assert Image.open(io.BytesIO(picture)).format == "PNG"


def nowhere_told(firm: RealCompany, password: str) -> None:
    """Secrets: the one-time password and the enrolment's token stand in no row, no log, no command line."""
    token = json.loads(firm.inside("adele", "cat /etc/deskwright/enrolment.json"))["token"]
    told = str(firm.sql("SELECT array_agg(s) FROM steps s"))
    told += str(firm.sql("SELECT array_agg(o) FROM libvirt.operations o"))
    told += str(firm.sql("SELECT array_agg(o) FROM builtin.objects o"))
    logs = [file for file in (firm.host.directory / "log").rglob("*") if file.is_file()]
    assert any("qemu" in str(file) for file in logs)
    for file in [*logs, firm.host.directory / "libvirtd.log"]:
        told += file.read_text(errors="replace")
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            told += line.read_text(errors="replace")
        except OSError:
            continue  # a process that has ended meanwhile
    assert "qemu-system" in told
    for secret in (password, token, CHOSEN):
        assert secret not in told


def somebody_signs_in(firm: RealCompany, password: str) -> None:
    """A1: by the console that the browser uses; the one-time password is good once, and must be changed."""
    ticket = consoles.open_console(firm.world, firm.tenant, "test", ADELE)
    screen = consoles.screen_of(firm.world, firm.tenant, "test", ticket.sealed)
    assert screen is not None
    assert consoles.screen_of(firm.world, firm.tenant, "another", ticket.sealed) is None
    with connected(screen) as viewer:
        viewer.open(ticket.password)
        dialogue = (
            ("login: *$", "adele"),
            ("Password: *$", password),
            ("Current password: *$", password),
            ("New password: *$", CHOSEN),
            ("Retype new password: *$", CHOSEN),
        )
        for prompt, answer in dialogue:
            shows(firm, prompt)
            typed(viewer, answer)
        shows(firm, r"adele@.*\$ *$")
        typed(viewer, "id -un >~/here")
        soon(lambda: firm.inside("adele", "cat /home/adele/here") == "adele")
        assert re.search(r"^adele +tty1 ", firm.inside("adele", "who"))
        assert "adele" in firm.inside("adele", "ps -o user,args | grep '[b]ash'")
        assert viewer.look().getcolors(4096) != [(viewer.picture.size[0] * viewer.picture.size[1], (0, 0, 0))]
    changed = firm.inside("adele", "grep ^adele: /etc/shadow").split(":")[2]
    assert int(changed) > 20000


def made_anew(firm: RealCompany) -> None:
    """V5, L2: another machine under another name; of the old one only the address stays, for a while."""
    before, files, pc = firm.left("adele"), firm.files(), firm.pc("adele")
    assert len(files) == 2, "a disk and a seed"
    cloud_pcs.reprovision(firm.world, firm.tenant, "test", ADELE)
    firm.until_status("adele", Status.PROVISIONED)
    after = firm.left("adele")
    assert after["vmId"] != before["vmId"]
    assert list(firm.machines()) == [after["computerName"]] != [before["computerName"]]
    assert len(firm.files()) == 2
    assert not firm.files() & files
    assert firm.inside("adele", "ls /home/adele/here 2>&1").endswith("No such file or directory"), "its data is gone"
    assert firm.kept_addresses() == {pc.ip_address, after["ipAddress"]}
    assert len(firm.kept_addresses()) == 2
    assert firm.leaks() == set()


def shows(firm: RealCompany, pattern: str) -> None:
    """Wait until the last line on the machine's screen ends so."""
    soon(lambda: re.search(pattern, screen_text(firm).rstrip("\n")) is not None, lambda: screen_text(firm))


def screen_text(firm: RealCompany) -> str:
    """What the screen shows, as the kernel has it."""
    return firm.inside("adele", "fold -w $(stty -F /dev/tty1 size | cut -d ' ' -f 2) /dev/vcs1 | sed 's/ *$//'")


def soon(holds: Callable[[], bool], told: Callable[[], str] = str, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, told()
        time.sleep(0.1)


def typed(viewer: Viewer, line: str) -> None:
    """As a keyboard types it: capitals and signs with the shift key."""
    for character in line:
        shifted = character.isupper() or character in '>~_"|&'
        viewer.press(*((SHIFT,) if shifted else ()), ord(character))
    viewer.press(RETURN)
