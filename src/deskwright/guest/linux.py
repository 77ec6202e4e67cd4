"""Actions as a script for POSIX sh: what is done stands in linux.sh, the calls with their quoted values are made here.

What has no meaning on Linux, or could not be named there, is a ValueError before anything runs.
"""

import hashlib
import ipaddress
import re
import shlex
from collections.abc import Sequence
from importlib.resources import files

from deskwright.guest.actions import (
    Action,
    AddAdministrator,
    AllowSignIn,
    BlockPorts,
    CreateAccount,
    EnableAccount,
    GrowPartition,
    JoinDomain,
    RemoveAdministrator,
    RunCommand,
    SetComputerName,
    SetRegistry,
    WriteFile,
    WriteRecord,
)
from deskwright.guest.gateway import Network, gateway_network
from deskwright.guest.records import record_name

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# What Entra and Active Directory accept in a user principal name; its first character is none that sudoers reads as a
# sign of its own (% a group, + a netgroup, # a uid, ! not).
_PRINCIPAL = re.compile(r"\w[\w.'!#^~$&+=-]*@\w[\w.-]*")
_DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_FROM_ENTRA = "azuread\\"

_BOOT_UNIT = """\
[Unit]
Description=Deskwright: inbound ports closed to everyone but the gateway
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
# Its rules begin with "flush ruleset".
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/deskwright/ports.nft
ExecReload=/usr/sbin/nft -f /etc/deskwright/ports.nft

[Install]
WantedBy=sysinit.target
"""


def text(actions: Sequence[Action]) -> str:
    """The whole script. It is read to its end before anything is done, and no command can read from its input."""
    lines = files("deskwright.guest").joinpath("linux.sh").read_text(encoding="utf-8").splitlines()
    library = "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    calls = "\n".join(map(call, actions))
    return f"{library}\nmain() {{\n{calls}\n}}\nmain </dev/null\nexit\n"


def call(action: Action) -> str:
    """The function of linux.sh that does `action`, with its arguments."""
    match action:
        case SetRegistry(path, name):
            raise ValueError(f"Linux has no registry: {path}, {name}")
        case WriteFile(path, content, mode):
            return _call("write_told", *_file(path, content, mode))
        case WriteRecord(name, content):
            return _call("write_told", *_file(f"/etc/deskwright/{record_name(name)}.json", content, 0o600))
        case RunCommand(command, check):
            return _call("run_command", command, check)
        case AddAdministrator(member):
            return _administrator("add", member)
        case RemoveAdministrator(member):
            return _administrator("remove", member)
        case SetComputerName(name):
            return _call("set_computer_name", _matching(_HOST, name, "a computer name of letters, digits and hyphens"))
        case GrowPartition(to_gb):
            return _call("grow_partition", str(int(to_gb)))
        case BlockPorts():
            return _block_ports(action)
        case CreateAccount(name):
            return _call("create_account", _account(name))
        case EnableAccount(name, password):
            return _call("enable_account", _account(name), _password(password))
        case AllowSignIn(member):
            principal = _principal(member)
            return _call("allow_sign_in", principal or _account(member), "directory" if principal else "local")
        case JoinDomain():
            return _join_domain(action)


def quoted(value: str) -> str:
    """`value` as one word of sh, always in single quotes. ValueError: sh has no NUL character."""
    if "\0" in value:
        raise ValueError("a value for sh holds a NUL character")
    return shlex.quote(value) if "'" in value else f"'{value}'"


def _call(function: str, *arguments: str) -> str:
    return " ".join((function, *map(quoted, arguments)))


def _file(path: str, content: str, mode: int) -> tuple[str, str, str, str]:
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(f"not an absolute path of Linux: {path!r}")
    return path, f"{mode:o}", _digest(content), content


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _account(name: str) -> str:
    return _matching(_ACCOUNT, name, "the name of a local account: letters, digits, dot, hyphen, underscore")


def _password(password: str) -> str:
    if not password or not password.isprintable():
        raise ValueError("a one-time password is one line of printable characters")
    return password


def _matching(pattern: re.Pattern[str], value: str, rule: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not {rule}")
    return value


def _principal(member: str) -> str | None:
    """The directory's user principal name in `member`, as clients of Entra and of Active Directory tell it on Linux:
    without "AzureAD\\", in lower case. None where it is a local account."""
    name = member[len(_FROM_ENTRA) :] if member.lower().startswith(_FROM_ENTRA) else member
    if name == member and "@" not in name:
        return None
    return _matching(_PRINCIPAL, name.lower(), "a user principal name (person@domain)")


def _administrator(verb: str, member: str) -> str:
    principal = _principal(member)
    if principal is None:
        return _call(f"{verb}_local_administrator", _account(member))
    # A digest, because sudo passes over files whose names have a dot.
    rule_file = f"/etc/sudoers.d/deskwright-{_digest(principal)[:16]}"
    if verb == "remove":
        return _call("remove_directory_administrator", principal, rule_file)
    return _call("add_directory_administrator", principal, rule_file, _in_sudoers(principal))


def _join_domain(action: JoinDomain) -> str:
    domain = _matching(_DOMAIN, action.domain, "the full DNS name of a domain").lower()
    controller = _matching(_DOMAIN, action.controller, "the full name of a domain controller")
    computer = _matching(_HOST, action.computer_name, "a computer name of letters, digits and hyphens")
    address = str(ipaddress.ip_address(action.address))
    servers = " ".join(str(ipaddress.ip_address(server)) for server in action.name_servers)
    password = _password(action.one_time_password)
    return _call("join_domain", domain, domain.upper(), controller, address, computer, password, servers)


def _in_sudoers(name: str) -> str:
    # sudoers reads \x and two digits as a character's code, so letters and digits are never escaped.
    return re.sub(r"[^\w.-]", r"\\\g<0>", name)


def _block_ports(action: BlockPorts) -> str:
    network = gateway_network(action.except_from)
    gateway = f"{'ip' if network.version == 4 else 'ip6'} saddr {_as_nft_prints(network)} accept" if network else ""
    tcp, udp = sorted(set(map(int, action.tcp))), sorted(set(map(int, action.udp)))
    rules = _rules(tcp, udp, gateway)
    ports = (" ".join(map(str, tcp)), " ".join(map(str, udp)))
    return _call("block_ports", rules, _digest(rules), *ports, gateway, _BOOT_UNIT, _digest(_BOOT_UNIT))


def _as_nft_prints(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _rules(tcp: list[int], udp: list[int], gateway: str) -> str:
    """One table, and in one transaction: it is first named so that it can be deleted, also where it was not yet."""
    accepted = ['iifname "lo" accept', "ct state established,related accept", *([gateway] if gateway else [])]
    chain = ["type filter hook input priority filter; policy accept;", *accepted]
    chain += ["tcp dport @closed_tcp drop", "udp dport @closed_udp drop"]
    body = "".join(f"    {line}\n" for line in chain)
    sets = _set("closed_tcp", tcp) + _set("closed_udp", udp)
    table = "table inet deskwright"
    return f"{table} {{ }}\ndelete {table}\n{table} {{\n{sets}  chain inbound {{\n{body}  }}\n}}\n"


def _set(name: str, ports: list[int]) -> str:
    elements = f"; elements = {{ {', '.join(map(str, ports))} }}" if ports else ""
    return f"  set {name} {{ type inet_service{elements}; }}\n"
