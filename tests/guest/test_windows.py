"""The scripts for Windows: their syntax as a parser of PowerShell reads it, and their registry commands really run.

There is no PowerShell for these tests: Wine's is an empty stub. What reg.exe is told runs under Wine.
"""

import re
from collections.abc import Iterator

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from deskwright.guest import configuration, windows
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
from deskwright.guest.script import script_for
from tests.guest.conftest import Wine

PARSER = Parser(Language(tree_sitter_powershell.language()))
HOSTILE = (
    "'; Remove-Item C:\\ -Recurse; \" $(calc) `n \u2018\u2019\u201a\u201b ${x} @( #> \r\n\n\t é \U0001f600 \\u0027"
)
ONE_LINE = "'; calc; \" $(calc) `n \u2018\u2019\u201a\u201b é"

STEPS: dict[str, tuple[Action, ...]] = {
    "P1": configuration.hide_power_icons("windows"),
    "P2": configuration.disable_reset("windows"),
    "P3": (
        *configuration.local_administrator("AzureAD\\o'neil\u2019s@contoso.com", wanted=True),
        *configuration.local_administrator("adele@corp.contoso.com", wanted=False),
    ),
    "P4": configuration.teams_vdi_mode("windows") or (),
    "P5": configuration.time_zone_redirection("windows"),
    "P6": configuration.grow_partition(128),
    "P7": configuration.block_high_risk_ports("10.20.0.5"),
    "C6": (CreateAccount("adele"), CreateAccount("o'neil \u2019")),
    "A1": (EnableAccount("adele", HOSTILE), AllowSignIn("adele")),
    "C4": (JoinDomain("corp.test", "dc1.corp.test", "10.0.0.1", "CPC-A", HOSTILE, ("10.0.0.2", "::1")),),
    "name": (SetComputerName("CPC-ADELE-1"),),
    "hostile": (
        WriteFile("C:\\it's $(here)\\\u2019.txt", HOSTILE),
        WriteRecord("enrolment", HOSTILE),
        RunCommand(HOSTILE, HOSTILE),
        AddAdministrator(ONE_LINE),
        RemoveAdministrator(ONE_LINE),
        AllowSignIn(ONE_LINE),
        EnableAccount("o'neil $(calc)", HOSTILE),
        SetRegistry("SOFTWARE\\'; calc; $(calc) \u2019", "`n ' \u2019", 1),
    ),
}


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def parsed(text: str) -> Node:
    root = PARSER.parse(text.encode()).root_node
    bad = [(n.start_point, n.text) for n in nodes(root) if n.is_error or n.is_missing]
    assert (bad, root.has_error) == ([], False)
    return root


def literals(text: str) -> list[str]:
    """What each literal of `text` stands for, .NET's escapes read where they are used."""
    found = []
    for node in nodes(parsed(text)):
        if node.type != "string_literal" or node.text is None:
            continue
        written = node.text.decode()
        assert (written[0], written[-1]) == ("'", "'"), "no literal in which $ means something"
        value = written[1:-1].replace("''", "'")
        before = text.encode()[: node.start_byte].decode()
        found.append(_unescaped(value) if before.endswith("[regex]::Unescape(") else value)
    return found


def _unescaped(value: str) -> str:
    units = re.sub(r"\\(?:u([0-9a-f]{4})|(\\))", lambda m: chr(int(m[1], 16)) if m[1] else m[2], value)
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


@pytest.mark.parametrize("step", STEPS)
def test_every_script_is_powershell(step: str) -> None:
    """And is read from standard input as one block: no empty line but at its end, and ASCII whatever the code page."""
    script = script_for("windows", STEPS[step])
    (statement,) = [child for child in parsed(script.text).children if child.type == "statement_list"]
    assert statement.named_child_count == 1, "one statement"
    assert script.text.isascii()
    assert script.text.endswith("\n}\n\n")
    assert "\n\n" not in script.text[:-2]
    assert "\r" not in script.text
    assert script.interpreter[-2:] == ("-Command", "-")


@pytest.mark.parametrize("action", [action for step in STEPS.values() for action in step], ids=repr)
def test_every_value_is_in_one_literal(action: Action) -> None:
    """A call is one command; every text of the action is whole in one of its literals (or of reg.exe's arguments)."""
    call = windows.call(action)
    (command,) = [node for node in nodes(parsed(call)) if node.type == "command"]
    assert command.text == call.encode(), "one command, with nothing after it"
    expected = [value for value in vars(action).values() if isinstance(value, str)]
    if isinstance(action, SetRegistry):
        add, query = windows.registry_commands(action)
        assert literals(call) == [*add[1:], *query[1:]]
    elif isinstance(action, BlockPorts):
        assert literals(call) == [*map(str, (*action.tcp, *action.udp)), *everyone_else(gateway_network("10.20.0.5"))]
    elif isinstance(action, JoinDomain):
        found = ["corp.test", "dc1.corp.test", "CPC-A", HOSTILE, "10.0.0.2", "::1", NEEDS_RESTART]
        assert literals(call) == found, "Windows finds the controller's address by its own DNS"
    else:
        assert [value for value in literals(call) if value in expected] == expected


def test_groups_are_named_by_sid() -> None:
    assert "S-1-5-32-544" in windows.call(AddAdministrator("adele"))
    assert "S-1-5-32-544" in windows.call(RemoveAdministrator("adele"))
    assert "S-1-5-32-555" in windows.call(AllowSignIn("adele"))


def registry_of(*steps: str) -> list[SetRegistry]:
    return [action for step in steps for action in STEPS[step] if isinstance(action, SetRegistry)]


def test_p1_p4_p5_in_a_registry(wine: Wine) -> None:
    """The very commands of the scripts, run; and what the document names, read back by a command of the test's own."""
    for action in registry_of("P1", "P4", "P5"):
        for _ in range(2):
            for command in windows.registry_commands(action):
                done = wine(*command)
                assert done.returncode == 0, done.stderr
        # As windows.ps1 reads it.
        assert re.search(r"\sREG_DWORD\s+0x([0-9A-Fa-f]+)", done.stdout)
    expected = {
        (r"HKLM\SOFTWARE\Microsoft\PolicyManager\default\Start\HideShutDown", "value"): 1,
        (r"HKLM\SOFTWARE\Microsoft\PolicyManager\default\Start\HideRestart", "value"): 1,
        (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System", "ShutdownWithoutLogon"): 0,
        (r"HKLM\SOFTWARE\Microsoft\Teams", "IsWVDEnvironment"): 1,
        (r"HKLM\SOFTWARE\Policies\Microsoft\Windows NT\Terminal Services", "fEnableTimeZoneRedirection"): 1,
    }
    found = {(path, name): dword(wine, path, name) for path, name in expected}
    assert found == expected


def dword(wine: Wine, path: str, name: str) -> int:
    printed = wine("reg", "query", path, "/v", name).stdout
    key, value = printed.split("\n")[1:3]
    assert key.strip() == path.replace("HKLM", "HKEY_LOCAL_MACHINE")
    assert value.split()[:2] == [name, "REG_DWORD"]
    return int(value.split()[2], 16)


def test_other_values_in_a_registry(wine: Wine) -> None:
    largest = SetRegistry("SOFTWARE\\Deskwright it's $(x) \u2019", "a %PATH% name", 2**32 - 1)
    for command in windows.registry_commands(largest):
        done = wine(*command)
        assert done.returncode == 0, done.stderr
    assert "0xffffffff" in done.stdout


@pytest.mark.parametrize(
    ("gateway", "ranges"),
    [
        ("10.0.0.5", ["0.0.0.0-10.0.0.4", "10.0.0.6-255.255.255.255", f"::-{':'.join(['ffff'] * 8)}"]),
        ("0.0.0.0/8", ["1.0.0.0-255.255.255.255", f"::-{':'.join(['ffff'] * 8)}"]),
        ("255.255.255.255", ["0.0.0.0-255.255.255.254", f"::-{':'.join(['ffff'] * 8)}"]),
        ("ff00::/8", ["0.0.0.0-255.255.255.255", f"::-feff:{':'.join(['ffff'] * 7)}"]),
        (" ", ["Any"]),
    ],
)
def test_p7_everyone_but_the_gateway(gateway: str, ranges: list[str]) -> None:
    """In Windows' firewall a rule that blocks wins over one that allows, so the gateway is left out of the blocked."""
    assert everyone_else(gateway_network(gateway)) == ranges


@pytest.mark.parametrize(
    "action",
    [
        WriteFile("/etc/x", "x"),
        WriteFile("C:\\x\n", "x"),
        WriteFile("C:\\x", "x", 0o600),
        WriteFile("C:\\x", "nul \0"),
        RunCommand("half a pair \ud800"),
        SetRegistry('SOFTWARE\\"', "x", 1),
        WriteRecord("../x", "{}"),
        SetRegistry("SOFTWARE\\", "x", 1),
        SetRegistry("SOFTWARE", "x\n", 1),
        SetRegistry("SOFTWARE", "x", -1),
        SetRegistry("SOFTWARE", "x", 2**32),
        *(CreateAccount(name) for name in ("", "a" * 21, "a@b", "a/b", "a\\b", "a*", "...", "a\nb")),
        *(SetComputerName(name) for name in ("", "a" * 16, "123", "a.b", "-a", "a b")),
        *(AllowSignIn(name) for name in ("", "a\nb")),
        EnableAccount("adele", ""),
        *(
            BlockPorts((22,), (), name)
            for name in ("gateway.contoso.com", "10.0.0.1/24", "0.0.0.0/0", "fe80::1%';calc")
        ),
    ],
    ids=repr,
)
def test_what_windows_has_no_place_for(action: Action) -> None:
    with pytest.raises(ValueError, match=r"."):
        windows.call(action)


def test_every_function_that_is_called_is_there() -> None:
    script = script_for("windows", [*(action for step in STEPS.values() for action in step), GrowPartition(64)])
    defined = set(re.findall(r"^function ([\w-]+)", script.text, re.MULTILINE))
    calls = script.text[script.text.rindex("\ntry {\n") :].split("\n")[2:-7]
    assert {call.split()[0] for call in calls} <= defined
