"""The scripts for Linux, really run: in a guest with accounts, network and host name of its own."""

import itertools
import json
import stat
from pathlib import Path

import pytest

from deskwright.guest import configuration, linux
from deskwright.guest.actions import (
    AddAdministrator,
    AllowSignIn,
    BlockPorts,
    CreateAccount,
    EnableAccount,
    GrowPartition,
    RemoveAdministrator,
    RunCommand,
    SetComputerName,
    SetRegistry,
    WriteFile,
    WriteRecord,
)
from deskwright.guest.script import script_for
from tests.guest.linux_guest import LinuxGuest

HOSTILE = "'; touch /pwned; $(touch /pwned) `touch /pwned` \" \\ \n\ttouch /pwned\n#é’"
PASSWORD = "Xy7'$(id)`\":%s\\n!"
GATEWAY = "10.20.0.5"


def shadow(guest: LinuxGuest, name: str) -> list[str]:
    (line,) = [row for row in guest.sh("cat /etc/shadow").splitlines() if row.startswith(f"{name}:")]
    return line.split(":")


def members(guest: LinuxGuest, group: str) -> list[str]:
    (line,) = [row for row in guest.sh("cat /etc/group").splitlines() if row.startswith(f"{group}:")]
    return line.split(":")[3].split(",")


def rules(guest: LinuxGuest) -> list[str]:
    return guest.sh("find /etc/sudoers.d -name '*deskwright*'").split()


def test_all_of_p1_to_p7_c6_and_a1_twice(guest: LinuxGuest) -> None:
    """Whatever may be interrupted may run twice; the second time finds all done."""
    actions = (
        SetComputerName("CPC-ADELE-1"),
        CreateAccount("adele"),
        *configuration.hide_power_icons("linux"),
        *configuration.disable_reset("linux"),
        *configuration.local_administrator("adele", wanted=True),
        *configuration.time_zone_redirection("linux"),
        *configuration.block_high_risk_ports(GATEWAY),
        EnableAccount("adele", PASSWORD),
        AllowSignIn("adele"),
    )
    first, second = guest.do(*actions), guest.do(*actions)
    assert first.splitlines()[0] == "computer name CPC-ADELE-1"
    assert "account adele: made, uid 1000, disabled" in first
    assert "account adele: there already, uid 1000, enabled, password to be changed" in second
    assert PASSWORD not in first + second
    assert (members(guest, "sudo"), members(guest, "tsusers")) == (["adele"], ["adele"])
    assert "deskwright-new" not in guest.sh("find /etc -name '*deskwright*'")


def test_a_file_is_what_was_asked_for(guest: LinuxGuest) -> None:
    guest.do(WriteFile("/etc/a new/it's $(here).conf", HOSTILE, 0o4750))
    assert guest.sh("cat '/etc/a new/it'\\''s $(here).conf'") == HOSTILE
    assert stat.S_IMODE((guest.root.parent / "upper/etc/a new/it's $(here).conf").stat().st_mode) == 0o4750
    guest.sh("test ! -e /pwned")


def test_a_file_that_cannot_be_written_stops_the_script(guest: LinuxGuest) -> None:
    """The script ends at the first action that fails, and says what was expected and what was found."""
    said = guest.refusal(WriteFile("/etc/passwd/inside", "x"), RunCommand("touch /pwned"))
    assert said.startswith("/etc/passwd/inside: expected its folder, found mkdir: ")
    guest.sh("test ! -e /pwned")


def test_a_record_is_for_root_only(guest: LinuxGuest) -> None:
    printed = guest.do(WriteRecord("enrolment", '{"token": "abc"}'))
    assert printed == "/etc/deskwright/enrolment.json: 16 bytes, mode 600\n"
    assert guest.sh("cat /etc/deskwright/enrolment.json") == '{"token": "abc"}'


def test_a_command_is_judged_by_its_check(guest: LinuxGuest) -> None:
    assert guest.do(RunCommand("echo 'a  b'; cat")) == "echo 'a  b'; cat: exit code 0, a  b\n", "it has no input"
    assert guest.refusal(RunCommand("echo no; exit 3")) == "echo no; exit 3: expected exit code 0, found 3: no\n"
    assert guest.do(RunCommand("exit 3", "echo already so")) == "exit 3: already so\n"
    said = guest.refusal(RunCommand("true", "echo still on; exit 1"))
    assert said == "true: expected 'echo still on; exit 1' to succeed, found still on (the command: exit code 0)\n"


def test_p2_sees_a_recovery_entry(guest: LinuxGuest) -> None:
    guest.sh("mkdir -p /boot/grub; echo \"menuentry 'x' 'gnulinux-6.1.0-recovery-12ab' {\" >/boot/grub/grub.cfg")
    assert "a recovery entry in the boot menu" in guest.refusal(*configuration.disable_reset("linux"))
    update = "#!/bin/sh\ngrep -q DISABLE_RECOVERY=.true /etc/default/grub.d/*.cfg && echo simple >/boot/grub/grub.cfg\n"
    guest.do(WriteFile("/usr/sbin/update-grub", update, 0o755))
    assert "no recovery entry in the boot menu" in guest.do(*configuration.disable_reset("linux"))


@pytest.mark.parametrize(
    ("said", "in_file", "zone"),
    [
        ("Europe/Zurich", None, "Europe/Zurich"),
        ("", "Asia/Tokyo", "Asia/Tokyo"),
        ("Europe/Zurich", "Asia/Tokyo", "Europe/Zurich"),
        ("../../../etc/passwd", None, ""),
        ("/etc/passwd", None, ""),
        ("", None, ""),
    ],
)
def test_p5_in_a_session(guest: LinuxGuest, said: str, in_file: str | None, zone: str) -> None:
    guest.do(*configuration.time_zone_redirection("linux"))
    guest.sh("mkdir -p /usr/share/zoneinfo/Europe /usr/share/zoneinfo/Asia /root/.config/deskwright")
    guest.sh("touch /usr/share/zoneinfo/Europe/Zurich /usr/share/zoneinfo/Asia/Tokyo")
    if in_file:
        guest.sh(f"echo {in_file} >/root/.config/deskwright/time-zone")
    session = f"set -eu; HOME=/root XRDP_CLIENT_TIMEZONE={said}; unset TZ; . /etc/profile.d/deskwright-time-zone.sh"
    assert guest.sh(f'{session}; echo "${{TZ:-}}"') == f"{zone}\n"


def test_the_computer_name(guest: LinuxGuest) -> None:
    guest.do(SetComputerName("cpc-2"))
    assert guest.sh("uname -n; cat /etc/hostname") == "cpc-2\ncpc-2\n"
    assert guest.sh("cat /etc/hosts") == "127.0.0.1\tlocalhost\n127.0.1.1\tcpc-2\n"
    joined = "127.0.1.1\tcpc-2.corp.contoso.com cpc-2\n"
    guest.do(WriteFile("/etc/hosts", joined), SetComputerName("cpc-2"))
    assert guest.sh("cat /etc/hosts") == joined, "the name that a domain join wrote stays"


def test_c6_an_account_is_disabled_until_a1(guest: LinuxGuest) -> None:
    guest.do(CreateAccount("adele"))
    before = shadow(guest, "adele")
    assert before[1].startswith("!"), "locked"
    assert before[7] == "1", "and expired"
    assert guest.sh("stat -c '%U %a' /home/adele; ls -A /home/adele/.bashrc") == "adele 755\n/home/adele/.bashrc\n"
    guest.do(EnableAccount("adele", PASSWORD))
    after = shadow(guest, "adele")
    assert (after[1][0], after[2], after[7]) == ("$", "0", ""), "to be changed at the first sign-in, never expiring"
    # Perl is part of every Debian, and its crypt is the C library's.
    check = "print crypt(<STDIN>, $ARGV[0]) eq $ARGV[0] ? 'same' : 'another'"
    assert guest.run(("perl", "-e", check, after[1]), PASSWORD).stdout == "same"


@pytest.mark.parametrize("name", ["staff", "12345", "a.b-c_d", "Adele"])
def test_names_that_accounts_may_have(guest: LinuxGuest, name: str) -> None:
    """Also that of a group, and one of digits alone, which getent would take for a uid."""
    guest.do(CreateAccount(name), AddAdministrator(name), AllowSignIn(name), EnableAccount(name, PASSWORD))
    assert members(guest, "sudo") == [name]
    guest.do(RemoveAdministrator(name), RemoveAdministrator(name))
    assert members(guest, "sudo") == [""]


def test_an_account_of_the_system_is_never_given_to_a_person(guest: LinuxGuest) -> None:
    """mail@contoso.com's account would be called mail."""
    before = guest.sh("cat /etc/passwd /etc/shadow /etc/group")
    for action in (
        CreateAccount("mail"),
        CreateAccount("root"),
        EnableAccount("root", PASSWORD),
        AllowSignIn("mail"),
        AddAdministrator("mail"),
    ):
        assert "expected a person's account, found the system's own, uid" in guest.refusal(action)
    assert guest.sh("grep -v tsusers /etc/group >/tmp/group; cat /etc/passwd /etc/shadow /tmp/group") == before
    assert guest.refusal(EnableAccount("0", PASSWORD)) == "account 0: expected an account in this guest, found none\n"


@pytest.mark.parametrize("member", ["adele@corp.contoso.com", "AzureAD\\Adele@contoso.com", "o'neil+x&#!$~^=@a-b.com"])
def test_p3_and_a1_for_an_identity_the_guest_does_not_know(guest: LinuxGuest, member: str) -> None:
    name = member.removeprefix("AzureAD\\").lower()
    for _ in range(2):
        printed = guest.do(AddAdministrator(member), AllowSignIn(member))
    assert "not known in this guest yet" in printed
    assert members(guest, "tsusers") == [name]
    (rule,) = rules(guest)
    assert guest.sh(f"visudo -c >/dev/null; stat -c %a {rule}") == "440\n"
    as_sudo_reads_it = json.loads(guest.sh(f"cvtsudoers -f json {rule}"))
    (entry,) = as_sudo_reads_it["User_Specs"]
    assert entry["User_List"] == [{"username": name}], "this person, and no one else"
    guest.do(RemoveAdministrator(member), RemoveAdministrator(member))
    assert rules(guest) == []


def test_p3_for_an_identity_the_guest_knows(guest: LinuxGuest) -> None:
    """The rule also holds for the uid: what a directory's client calls the person may differ from the sign-in name."""
    guest.sh("useradd -m --badname adele@corp.contoso.com")
    assert "uid 1000" in guest.do(AddAdministrator("adele@corp.contoso.com"))
    assert guest.sh("sudo -l -U adele@corp.contoso.com").count("(ALL : ALL) ALL") == 1
    guest.do(RemoveAdministrator("adele@corp.contoso.com"))
    assert "not allowed to run sudo" in guest.sh("sudo -l -U adele@corp.contoso.com")


def test_p3_says_when_a_rule_would_not_be_read(guest: LinuxGuest) -> None:
    guest.sh("echo 'root ALL=(ALL) ALL' >/etc/sudoers")
    said = guest.refusal(AddAdministrator("adele@contoso.com"))
    assert said == "/etc/sudoers: expected to include /etc/sudoers.d, found no such line\n"


def test_a_small_guest_without_sudo_and_systemd(guest: LinuxGuest) -> None:
    guest.sh(
        "for of in sudo visudo systemctl; do rm $(command -v $of); done; rm -r /etc/sudoers*; rm -rf /etc/polkit-1"
    )
    printed = guest.do(
        CreateAccount("adele"),
        AddAdministrator("adele"),
        AddAdministrator("adele@contoso.com"),
        BlockPorts((22,), (), ""),
        *configuration.hide_power_icons("linux"),
    )
    assert printed.count("(sudo itself is not installed here)") == 2
    assert "closed: TCP 22; UDP none; for everyone; until the next start, as nothing here loads them" in printed
    guest.sh("rm -f /sbin/init; echo 'nft -f /etc/deskwright/ports.nft' >/sbin/init")
    assert guest.do(BlockPorts((22,), (), "")).endswith("; loaded at every start\n")


@pytest.mark.parametrize(
    ("gateway", "rule"),
    [
        ("10.20.0.5", "ip saddr 10.20.0.5 accept"),
        ("10.20.0.0/24", "ip saddr 10.20.0.0/24 accept"),
        ("2001:DB8:0::5", "ip6 saddr 2001:db8::5 accept"),
        ("2001:db8::/64", "ip6 saddr 2001:db8::/64 accept"),
        ("", ""),
    ],
)
def test_p7_replaces_its_own_table_only(guest: LinuxGuest, gateway: str, rule: str) -> None:
    guest.sh("nft add table inet others")
    guest.do(BlockPorts((1, 2, 3), (4,), ""))
    guest.do(*configuration.block_high_risk_ports(gateway))
    ruleset = guest.sh("nft list ruleset")
    assert "table inet others" in ruleset
    assert ruleset.count("table inet deskwright") == 1
    assert rule in ruleset
    assert ruleset.count(" saddr ") == bool(rule)
    unit = "/etc/systemd/system/sysinit.target.wants/deskwright-ports.service"
    assert "nft -f /etc/deskwright/ports.nft" in guest.sh(f"cat {unit}")
    guest.sh("nft flush ruleset && nft -f /etc/deskwright/ports.nft")
    assert guest.sh("nft list table inet deskwright") in ruleset, "what a start loads is the same"


def test_p7_really_drops(guest: LinuxGuest) -> None:
    """Two machines on one wire: from the gateway's address the port answers, from another it does not."""
    guest.do(*configuration.block_high_risk_ports(GATEWAY))
    guest.sh(
        "ip link set lo up; ip link add name wire type veth peer name far; mkdir -p /run/netns; ip netns add other;"
        "ip link set far netns other; ip address add 10.20.0.1/24 dev wire; ip link set wire up;"
        "ip -n other address add 10.20.0.5/24 dev far; ip -n other address add 10.20.0.6/24 dev far;"
        "ip -n other link set far up"
    )
    ask = (
        "import socket,subprocess,sys; inside=socket.create_server(('10.20.0.1', int(sys.argv[1])));"
        "code='import socket,sys; socket.create_connection((\"10.20.0.1\", int(sys.argv[1])), 0.7, (sys.argv[2], 0))';"
        "run=lambda a: subprocess.run(['ip','netns','exec','other','python3','-c',code,sys.argv[1],a],"
        "stderr=subprocess.DEVNULL).returncode; print(run('10.20.0.5'), run('10.20.0.6'))"
    )
    assert guest.run(("python3", "-c", ask, "3389"), "").stdout == "0 1\n"
    assert guest.run(("python3", "-c", ask, "8443"), "").stdout == "0 0\n"


def test_p7_without_nftables(guest: LinuxGuest) -> None:
    guest.sh("rm $(command -v nft)")
    assert guest.refusal(BlockPorts((22,), (), "")) == "ports: expected nftables in the guest, found no nft\n"


GB = 1000**3


def disk(guest: LinuxGuest, *, gigabytes: int, partition: int | None, kind: str = "ext4", growth: str = "yes") -> None:
    """What the kernel and the tools would say: a disk, with a partition of that many GB or without one."""
    device = "vda" if partition is None else "vda1"
    at = "/sys/devices/vda" if partition is None else "/sys/devices/vda/vda1"
    link = f"/sys/dev/block/{'254:0' if partition is None else '254:1'}"
    size = (partition or 64) * GB
    tools = {
        # The new size, or exit code 1 where there is nothing to gain, or 2 where it cannot.
        "growpart": f'[ "$1 $2 {growth}" = "/dev/vda 1 yes" ] || exit {2 if growth == "broken" else 1}\n'
        "cat /sys/devices/vda/size >/sys/devices/vda/vda1/size",
        "resize2fs": f'[ "$1" = /dev/{device} ] && cat {at}/size >/filesystem',
        "dumpe2fs": 'echo "Block count: $(cat /filesystem)"; echo "Block size: 512"',
    }
    for name, text in tools.items():
        guest.sh(f"cat >/usr/sbin/{name} <<'END'\n#!/bin/sh\n{text}\nEND\nchmod 755 /usr/sbin/{name}")
    guest.sh(
        f"mkdir -p {at} /sys/dev/block /proc/self; echo {gigabytes * GB // 512} >/sys/devices/vda/size;"
        f"echo DEVNAME=vda >/sys/devices/vda/uevent; ln -s {at} {link}; echo {size // 512} >/filesystem;"
        f"echo '29 1 {link[-5:]} / / rw,relatime shared:1 - {kind} /dev/root rw' >/proc/self/mountinfo;"
        "echo '30 29 0:22 / /sys rw - sysfs sysfs rw' >>/proc/self/mountinfo"
    )
    if partition is not None:
        guest.sh(f"echo DEVNAME=vda1 >{at}/uevent; echo 1 >{at}/partition; echo {size // 512} >{at}/size")


@pytest.mark.parametrize("partition", [64, None])
def test_p6_grows_what_is_at_the_root(bare_guest: LinuxGuest, partition: int | None) -> None:
    """A partition, or a disk without a partition table."""
    disk(bare_guest, gigabytes=128, partition=partition)
    device = "vda1" if partition else "vda"
    for _ in range(2):
        printed = bare_guest.do(GrowPartition(128))
        assert printed == f"file system of /dev/{device}: {128 * GB} of the disk's {128 * GB} bytes\n"


def test_p6_with_nothing_to_gain(bare_guest: LinuxGuest) -> None:
    disk(bare_guest, gigabytes=128, partition=127, growth="none")
    assert f"{127 * GB} of" in bare_guest.do(GrowPartition(128))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"gigabytes": 64, "partition": 64, "growth": "none"}, f"disk: expected 128 GB, found {64 * GB} bytes\n"),
        (
            {"gigabytes": 128, "partition": 64, "growth": "none"},
            f"file system of /dev/vda1: expected 95 % of the disk's {128 * GB} bytes, found {64 * GB} bytes\n",
        ),
        (
            {"gigabytes": 128, "partition": 64, "growth": "broken"},
            "partition /dev/vda1: expected to be grown, found no",
        ),
        (
            {"gigabytes": 128, "partition": 64, "kind": "btrfs"},
            "file system of /dev/vda1: expected ext4 or xfs, found b",
        ),
    ],
)
def test_p6_fails_with_the_numbers(bare_guest: LinuxGuest, state: dict[str, str | int], said: str) -> None:
    disk(bare_guest, **state)  # type: ignore[arg-type]
    assert bare_guest.refusal(GrowPartition(128)).startswith(said)


def test_p6_without_a_device(bare_guest: LinuxGuest) -> None:
    bare_guest.sh("mkdir -p /proc/self; echo '1 0 0:30 / / rw - overlay overlay rw' >/proc/self/mountinfo")
    assert bare_guest.refusal(GrowPartition(1)) == "disk: expected a block device at /, found 0:30 overlay\n"


NOT_A_NAME = ["", "-rf", "..", ".hidden", "a:b", "a b", "a\nb", "$(id)", "é", "a" * 33, HOSTILE]


@pytest.mark.parametrize(
    "action",
    [
        SetRegistry("SOFTWARE", "x", 1),
        WriteFile("C:\\x", "x"),
        WriteFile("relative", "x"),
        WriteFile("/a\nb", "x"),
        WriteFile("/a", "nul \0"),
        RunCommand("nul \0"),
        WriteRecord("../x", "{}"),
        *(kind(name) for kind, name in itertools.product((CreateAccount, AllowSignIn, AddAdministrator), NOT_A_NAME)),
        *(
            AddAdministrator(name)
            for name in ("%sudo@a", "+a@b", "#0@a", "a@b@c", "a,b@c", "a@b:", "CORP\\adele", "a @b")
        ),
        *(SetComputerName(name) for name in ("", "-a", "a.b", "a_b", "a" * 64, "a\nb")),
        *(EnableAccount("adele", password) for password in ("", "two\nlines", "nul\0")),
        *(BlockPorts((22,), (), name) for name in ("gateway.contoso.com", "10.0.0.1/24", "::/0", "fe80::1%; drop")),
    ],
)
def test_what_linux_has_no_place_for(action: object) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        linux.call(action)  # type: ignore[arg-type]
    assert "two\nlines" not in str(refused.value)


def test_a_text_that_was_cut_off_does_nothing(guest: LinuxGuest) -> None:
    script = script_for("linux", [RunCommand("touch /pwned")])
    for length in range(len(script.text) - 40, len(script.text) - len("</dev/null\nexit\n") - 1):
        assert guest.run(script.interpreter, script.text[:length]).stdout == ""
    guest.sh("test ! -e /pwned")


def test_nothing_reaches_this_machine(guest: LinuxGuest) -> None:
    guest.do(WriteFile("/etc/deskwright-was-here", ""))
    assert not Path("/etc/deskwright-was-here").exists()
