"""Running scripts inside a machine by its QEMU guest agent (https://qemu.org/docs/master/interop/qemu-ga-ref.html).

A script comes over the agent's channel and the interpreter's standard input: nothing of it stands in a process list,
in the guest or on the host.
"""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import libvirt
import libvirt_qemu

from deskwright.guest.script import Script
from deskwright.providers.libvirt.host import is_absent, is_lost, said

ANSWER_SECONDS = 5
"""For one command of the agent's; the agent answers at once or is not there."""
RUN_SECONDS = 25.0
"""For a script. Those that are told here take a second or two, and some under emulation ten."""
_LEAST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _LATER_AT_MOST = 0.02, 0.25, 1 / 16
"""Between two looks whether a script has ended: so that each is noticed late by a small share of what it took."""


class Silent(Exception):
    """The agent does not answer (yet)."""


class StillRuns(Exception):
    """A script did not end within `RUN_SECONDS`. Doing it again is harmless."""


_Which = tuple[str, int, bytes]
"""Machine, which start of it, and the script's digest."""
_running: dict[_Which, int] = {}
"""The process inside, of scripts that had not ended when they were looked at last. Other processes know none."""


@dataclass(frozen=True)
class Ran:
    code: int
    output: str = field(repr=False)


def answers(machine: Any) -> bool:
    """Whether the agent is there."""
    try:
        _command(machine, "guest-ping")
    except Silent:
        return False
    return True


def run(machine: Any, script: Script) -> Ran:
    """Run a script inside and wait for its end. Raises Silent, StillRuns.

    Who asks the same again after StillRuns waits on for the one that runs: begun once more beside it, it would be
    slower still, and on a slow machine never end.
    """
    which = machine.UUIDString(), machine.ID(), _digest(script)
    pid, status = _still(machine, which)
    if status is None:
        pid = _begin(machine, script)
    began = time.monotonic()
    while True:
        status = status or _command(machine, "guest-exec-status", {"pid": pid})
        if status["exited"]:
            return Ran(int(status.get("exitcode", 128 + status.get("signal", 0))), _output(status))
        status, taken = None, time.monotonic() - began
        if taken >= RUN_SECONDS:
            _running[which] = pid
            raise StillRuns
        time.sleep(min(max(_LEAST_PAUSE_SECONDS, taken * _LATER_AT_MOST), _LONGEST_PAUSE_SECONDS))


def _begin(machine: Any, script: Script) -> int:
    path, *arguments = script.interpreter
    asked = {
        "path": path,
        "arg": arguments,
        "input-data": base64.b64encode(script.text.encode()).decode(),
        "capture-output": True,
    }
    return int(_command(machine, "guest-exec", asked)["pid"])


def _still(machine: Any, which: _Which) -> tuple[int, dict[str, Any] | None]:
    """(process, status) of a script that was left running; no status where there is none, or the agent has none."""
    pid = _running.pop(which, None)
    if pid is None:
        return 0, None
    try:
        return pid, _command(machine, "guest-exec-status", {"pid": pid})
    except Silent:
        _running[which] = pid
        raise
    except libvirt.libvirtError as error:
        if is_lost(error) or not machine.isActive():
            raise
        return 0, None  # the agent was started anew, and does not know it


def _digest(script: Script) -> bytes:
    return hashlib.sha256("\0".join((*script.interpreter, script.text)).encode()).digest()


def addresses(machine: Any) -> dict[str, list[str]]:
    """The IPv4 addresses inside, by MAC. Raises Silent."""
    found: dict[str, list[str]] = {}
    for interface in _command(machine, "guest-network-get-interfaces"):
        mac = str(interface.get("hardware-address", "")).lower()
        for address in interface.get("ip-addresses", []):
            if address.get("ip-address-type") == "ipv4":
                found.setdefault(mac, []).append(str(address["ip-address"]))
    return found


def shut_down(machine: Any) -> None:
    """As a person would from inside. The agent does not answer this one."""
    machine.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)


def _output(status: dict[str, Any]) -> str:
    parts = (status.get("out-data"), status.get("err-data"))
    return "".join(base64.b64decode(part).decode("utf-8", "replace") for part in parts if part)


def _command(machine: Any, name: str, arguments: dict[str, Any] | None = None) -> Any:
    asked = json.dumps({"execute": name, **({"arguments": arguments} if arguments else {})})
    try:
        return json.loads(libvirt_qemu.qemuAgentCommand(machine, asked, ANSWER_SECONDS, 0))["return"]
    except libvirt.libvirtError as error:
        if is_lost(error) or is_absent(error) or not machine.isActive():
            raise
        if error.get_error_code() in (
            libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
            libvirt.VIR_ERR_AGENT_UNSYNCED,
            libvirt.VIR_ERR_OPERATION_TIMEOUT,
            libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
            libvirt.VIR_ERR_OPERATION_INVALID,  # paused: by somebody, or because the host's disk is full
        ):
            raise Silent(said(error)) from error
        raise
