"""The inside of a simulated machine: what was done to it, and the state this adds up to."""

import copy
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

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

# A gallery image's own size; the rest of a larger disk is free until the partition is grown (P6).
IMAGE_GB = 64


def record(action: Action, vm_id: str) -> dict[str, Any]:
    """`action` as JSON. Of a password, and of a record that may hold a token, only a digest is kept here."""
    recorded = {"do": type(action).__name__, **asdict(action)}
    if isinstance(action, EnableAccount):
        recorded["password"] = password_digest(vm_id, action.password)
    if isinstance(action, JoinDomain):
        recorded["one_time_password"] = password_digest(vm_id, action.one_time_password)
    if isinstance(action, WriteRecord):
        recorded["content"] = password_digest(vm_id, action.content)
    return recorded


def password_digest(vm_id: str, password: str) -> str:
    return hashlib.sha256(f"{vm_id}:{password}".encode()).hexdigest()


def printed(action: Action) -> str:
    """What the guest prints when it does it."""
    match action:
        case SetRegistry(path, name, value):
            return f"HKLM\\{path}: {name} = {value}"
        case WriteFile(path, content, mode):
            return f"{path}: {len(content)} characters, mode {mode:o}"
        case WriteRecord(name):
            return f"record {name} kept"
        case RunCommand(command):
            return f"{command}: exit code 0"
        case AddAdministrator(member):
            return f"{member} is a local administrator"
        case RemoveAdministrator(member):
            return f"{member} is not a local administrator"
        case SetComputerName(name):
            return f"computer name {name}"
        case GrowPartition(to_gb):
            return f"the operating system's partition has {to_gb} GB"
        case BlockPorts(tcp, udp, except_from):
            return f"{len(tcp)} TCP and {len(udp)} UDP ports blocked, except from {except_from}"
        case CreateAccount(name):
            return f"account {name} made, disabled"
        case EnableAccount(name):
            return f"account {name} enabled, its password to be changed at the first sign-in"
        case AllowSignIn(member):
            return f"{member} may sign in remotely"
        case JoinDomain(domain, controller):
            return f"member of {domain}, as noted from {controller}"


def state(machine: Mapping[str, Any], done: Iterable[list[dict[str, Any]]]) -> dict[str, Any]:
    """The machine's state after `done`, the recorded actions of each operation in order.

    registry: path -> name -> value; files: path -> content, mode; records: name -> a digest of its content; commands;
    administrators; computerName, once set; ports: tcp, udp, exceptFrom; partition_gb; accounts: name -> enabled,
    mustChangePassword, password (a digest); maySignIn; domain, once joined. All of this stands on the disk, and comes
    back with a snapshot. Of the machine itself: power (running | poweredOff), restarts (how many), size (vCPU, GB of
    memory, GB of disk), model.
    """
    disk = _fresh(machine)
    taken: dict[str, dict[str, Any]] = {}
    restarts = 0
    for actions in done:
        for action in actions:
            match action:
                case {"do": "Power" | "Resize"}:
                    pass  # kept in `machine`
                case {"do": "Restart"}:
                    restarts += 1
                case {"do": "TakeSnapshot", "snapshot": snapshot}:
                    taken[snapshot] = copy.deepcopy(disk)
                case {"do": "Restore", "snapshot": snapshot}:
                    disk = copy.deepcopy(taken[snapshot])
                case _:
                    _do(disk, action)
    return {
        **disk,
        "power": machine.get("powerState", "running"),
        "restarts": restarts,
        "size": [machine.get(name) for name in ("vCpuCount", "ramInGB", "storageInGB")],
        "model": machine.get("model"),
    }


def _fresh(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "registry": {},
        "files": {},
        "records": {},
        "commands": [],
        "administrators": [],
        "ports": {"tcp": [], "udp": [], "exceptFrom": None},
        "partition_gb": min(IMAGE_GB, machine.get("storageInGB", IMAGE_GB)),
        "accounts": {},
        "maySignIn": [],
    }


def _do(inside: dict[str, Any], action: dict[str, Any]) -> None:
    match action:
        case {"do": "SetRegistry", "path": path, "name": name, "value": value}:
            inside["registry"].setdefault(path, {})[name] = value
        case {"do": "WriteFile", "path": path, "content": content, "mode": mode}:
            inside["files"][path] = {"content": content, "mode": mode}
        case {"do": "WriteRecord", "name": name, "content": content}:
            inside["records"][name] = content
        case {"do": "RunCommand", "command": command}:
            inside["commands"].append(command)
        case {"do": "AddAdministrator", "member": member}:
            if member not in inside["administrators"]:
                inside["administrators"].append(member)
        case {"do": "AllowSignIn", "member": member}:
            if member not in inside["maySignIn"]:
                inside["maySignIn"].append(member)
        case {"do": "RemoveAdministrator", "member": member}:
            inside["administrators"] = [m for m in inside["administrators"] if m != member]
        case {"do": "SetComputerName", "name": name}:
            inside["computerName"] = name
        case {"do": "GrowPartition", "to_gb": to_gb}:
            inside["partition_gb"] = max(inside["partition_gb"], to_gb)
        case {"do": "BlockPorts", "tcp": tcp, "udp": udp, "except_from": except_from}:
            inside["ports"] = {"tcp": tcp, "udp": udp, "exceptFrom": except_from}
        case {"do": "CreateAccount", "name": name}:
            inside["accounts"].setdefault(name, {"enabled": False, "mustChangePassword": False})
        case {"do": "EnableAccount", "name": name, "password": password}:
            inside["accounts"][name] = {"enabled": True, "mustChangePassword": True, "password": password}
        case {"do": "JoinDomain", "domain": domain}:
            inside["domain"] = domain
        case _:
            raise ValueError(f"the simulated guest cannot do {action!r}")
