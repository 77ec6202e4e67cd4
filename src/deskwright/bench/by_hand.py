"""A machine as a person would start it by hand: plain QEMU, and its guest agent asked over its socket.

The machine has the processor, memory, chipset, disks, screen and channel that the libvirt provider gives one. Its card
is plugged in as soon as QEMU answers, as the provider does, but into QEMU's own user network, which needs no set-up.
"""

import base64
import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deskwright.domain.plans import Size
from deskwright.guest.script import Script
from deskwright.images import seed
from deskwright.images.build import Built

_GLANCE_SECONDS = 0.02
_ASKED_AGAIN_SECONDS = 0.1
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Guest:
    """What is measured: an image of the gallery, and a machine's size."""

    image: str
    size: Size


TINY = Guest("debian-12-tiny", Size(1, 1, 4))
SERVER = Guest("debian-12-server", Size(1, 2, 8))
"""With systemd and cloud-init, and a boot loader on its disk."""


class Machine:
    """Started when made. directory: of its own, and empty."""

    def __init__(self, image: Built, size: Size, directory: Path, name: str) -> None:
        self._directory = directory
        overlay, first = directory / "overlay.qcow2", directory / "seed.iso"
        backing = ["-F", "qcow2", "-b", str(image.disk.resolve())]
        subprocess.run(  # noqa: S603
            ["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(overlay), f"{size.storage_gb}G"],  # noqa: S607
            check=True,
        )
        first.write_bytes(seed.seed(name, name))
        with (directory / "qemu.log").open("wb") as log:
            command = _command(image, size, directory)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        self._lines: list[_Lines] = []
        try:
            monitor = self._connect("qmp")
            monitor.read(None)  # its greeting
            monitor.ask("qmp_capabilities")
            monitor.ask("netdev_add", type="user", id="net0")
            monitor.ask("device_add", driver="virtio-net-pci", netdev="net0", id="card0", bus="spare")
            self._agent = self._connect("agent")
        except BaseException:
            self.end()
            raise

    def wait_for_agent(self) -> None:
        """Until the agent's first answer."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        asked = 0
        while True:
            asked += 1
            try:
                # What nobody reads yet is kept for the agent, so a number tells the answers apart.
                self._agent.ask("guest-sync", id=asked, seconds=_ASKED_AGAIN_SECONDS)
                return
            except TimeoutError:
                if time.monotonic() > ends or self._process.poll() is not None:
                    raise

    def run(self, script: Script) -> str:
        """What a script prints. RuntimeError: it failed."""
        path, *arguments = script.interpreter
        sent = base64.b64encode(script.text.encode()).decode()
        given: dict[str, Any] = {"path": path, "arg": arguments, "input-data": sent, "capture-output": True}
        pid = self._agent.ask("guest-exec", **given)["pid"]
        while not (status := self._agent.ask("guest-exec-status", pid=pid))["exited"]:
            time.sleep(_GLANCE_SECONDS)
        output = "".join(base64.b64decode(status.get(part, "")).decode() for part in ("out-data", "err-data"))
        if status.get("exitcode") != 0:
            raise RuntimeError(f"by hand: {output}")
        return output

    def wait_for_address(self) -> None:
        """Until its card has an address."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while not any(map(_has_address, self._agent.ask("guest-network-get-interfaces"))):
            if time.monotonic() > ends:
                raise TimeoutError("by hand: the machine was given no address")
            time.sleep(_GLANCE_SECONDS)

    def end(self) -> None:
        for lines in self._lines:
            lines.close()
        self._process.kill()
        self._process.wait()

    def _connect(self, name: str) -> "_Lines":
        lines = _Lines(_connected(self._directory / name, self._process))
        self._lines.append(lines)
        return lines


def _has_address(interface: Mapping[str, Any]) -> bool:
    there = interface.get("ip-addresses", [])
    return interface["name"] != "lo" and any(address["ip-address-type"] == "ipv4" for address in there)


class _Lines:
    """JSON, one object a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._rest = connection, b""

    def ask(self, command: str, *, seconds: float | None = 60.0, **arguments: Any) -> Any:
        """The answer's `return`. TimeoutError, RuntimeError: the machine refuses."""
        asked = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._socket.sendall(json.dumps(asked).encode() + b"\n")
        while True:
            answer = self.read(seconds)
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            # An event, or the answer to a sync that was given up.
            if "return" in answer and (command != "guest-sync" or answer["return"] == arguments["id"]):
                return answer["return"]

    def close(self) -> None:
        self._socket.close()

    def read(self, seconds: float | None) -> dict[str, Any]:
        self._socket.settimeout(seconds)
        while b"\n" not in self._rest:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the machine has ended")
            self._rest += received
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line.lstrip(b"\xff"))
        return answer


def _command(image: Built, size: Size, directory: Path) -> Sequence[str]:
    kernel = ("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", image.command_line)
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-user-config"),
        *("-smp", f"{size.vcpu},sockets=1,cores={size.vcpu},threads=1", "-m", f"{size.ram_gb}G"),
        *(kernel if image.kernel else ()),
        *("-drive", f"file={directory}/overlay.qcow2,if=virtio,format=qcow2,discard=unmap"),
        *("-drive", f"file={directory}/seed.iso,if=virtio,format=raw,readonly=on"),
        *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        *("-chardev", f"socket,path={directory}/agent,server=on,wait=off,id=agent"),
        *("-device", "virtio-tablet-pci", "-device", "virtio-rng-pci", "-device", "pcie-root-port,id=spare"),
        *("-vga", "std", "-display", f"vnc=unix:{directory}/vnc", "-serial", f"file:{directory}/serial.log"),
        *("-qmp", f"unix:{directory}/qmp,server=on,wait=off"),
    ]


def _connected(path: Path, process: "subprocess.Popen[bytes]") -> socket.socket:
    """A socket's path may have about 100 characters: it is gone to by a descriptor of its directory."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(f"/proc/self/fd/{directory}/{path.name}")
                return connection
            except OSError:
                connection.close()
                if time.monotonic() > ends or process.poll() is not None:
                    raise
            time.sleep(0.01)
    finally:
        os.close(directory)
