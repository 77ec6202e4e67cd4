"""Actions as a script for Windows PowerShell 5.1: what is done stands in windows.ps1, the calls are made here.

What has no meaning on Windows, or could not be named there, is a ValueError before anything runs.
"""

import ipaddress
import re
from collections.abc import Sequence
from importlib.resources import files

from deskwright.guest.actions import (
    NEEDS_RESTART,
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
from deskwright.guest.gateway import everyone_else, gateway_network
from deskwright.guest.records import record_name

_ADMINISTRATORS = "S-1-5-32-544"
_REMOTE_DESKTOP_USERS = "S-1-5-32-555"
_LARGEST_DWORD = 2**32 - 1
_ALWAYS_MODE = 0o644

# Windows' own rules for names: NetBIOS' 15 characters, a local account's 20.
_COMPUTER = re.compile(r"(?!\d+$)[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?")
_ACCOUNT = re.compile(r"""(?![. ]+$)[^"/\\\[\]:;|=,+*?<>@\x00-\x1f\x7f]{1,20}""")
_DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_PATH = re.compile(r"""[A-Za-z]:\\[^"<>|?*:\x00-\x1f]+""")
# reg.exe gets these as command-line arguments, where a quote or a last backslash would change where one ends.
_REGISTRY = re.compile(r"""[^"\x00-\x1f\x7f]*[^"\\\x00-\x1f\x7f]""")


def text(actions: Sequence[Action]) -> str:
    """The whole script, in ASCII.

    PowerShell reads its input as if typed: a block is run when an empty line follows it, and only then. So all is one
    block, there is no empty line in it, and one after it.
    """
    lines = files("deskwright.guest").joinpath("windows.ps1").read_text(encoding="ascii").splitlines()
    library = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    block = [*library, "try {", *map(call, actions), "}", "catch {", _CAUGHT, "}"]
    return "& {\n" + "\n".join(block) + "\n}\n\n"


_CAUGHT = "Stop-Action $_.InvocationInfo.MyCommand 'to succeed' $_.Exception.Message"


def call(action: Action) -> str:
    """The function of windows.ps1 that does `action`, with its arguments."""
    match action:
        case SetRegistry(value=value):
            add, query = registry_commands(action)
            return f"Set-RegistryDword {_array(add[1:])} {_array(query[1:])} {value}"
        case WriteFile(path, content, mode):
            if mode != _ALWAYS_MODE:
                raise ValueError(f"{path}: a file of Windows has no mode {mode:o}")
            return f"Set-FileText {quoted(_matching(_PATH, path, 'an absolute path of Windows'))} {quoted(content)}"
        case WriteRecord(name, content):
            return f"Set-Record {quoted(record_name(name))} {quoted(content)}"
        case RunCommand(command, check):
            return f"Invoke-CommandLine {quoted(command)} {quoted(check)}"
        case AddAdministrator(member):
            return _member("Add-GroupMember", _ADMINISTRATORS, member, "a local administrator")
        case RemoveAdministrator(member):
            return _member("Remove-GroupMember", _ADMINISTRATORS, member, "a local administrator")
        case SetComputerName(name):
            rule = "a computer name of Windows: 15 letters, digits and hyphens at most, not digits alone"
            return f"Set-ComputerName {quoted(_matching(_COMPUTER, name, rule))}"
        case GrowPartition(to_gb):
            return f"Expand-SystemPartition {int(to_gb)}"
        case BlockPorts(tcp, udp, except_from):
            ports = (_array([str(port) for port in sorted(set(map(int, of)))]) for of in (tcp, udp))
            return f"Block-Ports {' '.join(ports)} {_array(everyone_else(gateway_network(except_from)))}"
        case CreateAccount(name):
            return f"New-Account {quoted(_account(name))}"
        case EnableAccount(name, password):
            if not password:
                raise ValueError("a one-time password is not empty")
            return f"Enable-Account {quoted(_account(name))} {quoted(password)}"
        case AllowSignIn(member):
            return _member("Add-GroupMember", _REMOTE_DESKTOP_USERS, member, "allowed to sign in remotely")
        case JoinDomain():
            return _join_domain(action)


def registry_commands(action: SetRegistry) -> list[list[str]]:
    """The two command lines of reg.exe that set `action` and read it back, as argument lists.

    /reg:64, or a 32-bit agent would write what no 64-bit Windows reads. ValueError: a value that is no DWORD.
    """
    if not 0 <= action.value <= _LARGEST_DWORD:
        raise ValueError(f"{action.path}, {action.name}: {action.value} is not a DWORD (0 to {_LARGEST_DWORD})")
    path = _matching(_REGISTRY, rf"HKLM\{action.path}", "a key of the registry")
    name = _matching(_REGISTRY, action.name, "the name of a registry value")
    set_it = ["/t", "REG_DWORD", "/d", str(action.value), "/f", "/reg:64"]
    return [["reg.exe", "add", path, "/v", name, *set_it], ["reg.exe", "query", path, "/v", name, "/reg:64"]]


def quoted(value: str) -> str:
    """`value` as one literal of PowerShell, in ASCII and on one line; an argument as it stands.

    Typographic quotes end a literal as ' does, and what is not ASCII depends on the guest's code page: so such values
    are written with .NET's escapes. ValueError: no operating system's text holds NUL or half a surrogate pair.
    """
    if "\0" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ValueError("a value for PowerShell holds NUL or half a surrogate pair")
    if value.isascii() and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return "([regex]::Unescape('" + "".join(map(_escaped, value)).replace("'", "''") + "'))"


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isascii() and character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _array(values: Sequence[str]) -> str:
    return f"@({', '.join(map(quoted, values))})"


def _member(function: str, group: str, member: str, right: str) -> str:
    if not member or not member.isprintable():
        raise ValueError(f"{member!r} is not the name of a group's member")
    return f"{function} {quoted(group)} {quoted(member)} {quoted(right)}"


def _join_domain(action: JoinDomain) -> str:
    domain = _matching(_DOMAIN, action.domain, "the full DNS name of a domain").lower()
    controller = _matching(_DOMAIN, action.controller, "the full name of a domain controller")
    computer = _matching(_COMPUTER, action.computer_name, "a computer name of Windows")
    if not action.one_time_password:
        raise ValueError("a one-time password is not empty")
    servers = _array([str(ipaddress.ip_address(server)) for server in action.name_servers])
    values = " ".join(map(quoted, (domain, controller, computer, action.one_time_password)))
    return f"Join-Domain {values} {servers} {quoted(NEEDS_RESTART)}"


def _account(name: str) -> str:
    return _matching(_ACCOUNT, name, "the name of a local account of Windows: 20 characters at most, no signs")


def _matching(pattern: re.Pattern[str], value: str, rule: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not {rule}")
    return value
