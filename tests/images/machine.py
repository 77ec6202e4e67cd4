"""A machine for trying an image: plain QEMU, emulated, with a guest agent, a serial console and cards to plug in."""

import base64
import contextlib
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deskwright.images.build import Built

Reply = dict[str, Any]


class Lines:
    """JSON, one object a line, over a Unix socket."""

    def __init__(self, path: Path, seconds: float = 10) -> None:
        self._socket = _connected(path, seconds)
        self._rest = b""

    def ask(self, command: str, seconds: float = 10, **arguments: Any) -> Any:
        """The answer's `return`; TimeoutError when none comes in time."""
        asked = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._socket.sendall(json.dumps(asked).encode() + b"\n")
        while True:
            reply = self.read(seconds)
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']}")
            if "return" in reply:
                return reply["return"]

    def read(self, seconds: float) -> Reply:
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            readable, _, _ = select.select([self._socket], [], [], max(0.0, until - time.monotonic()))
            if not readable:
                raise TimeoutError
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the machine has ended")
            self._rest += received
        line, self._rest = self._rest.split(b"\n", 1)
        answer: Reply = json.loads(line.lstrip(b"\xff"))
        return answer

    def close(self) -> None:
        self._socket.close()


class Machine:
    def __init__(self, image: Built, directory: Path, memory_mb: int, seed: Path | None) -> None:
        self.directory = directory
        overlay = directory / "overlay.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.disk.resolve(), overlay], check=True
        )
        with (directory / "qemu.log").open("wb") as log:
            command = _command(image, directory, overlay, memory_mb, seed)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.started = time.monotonic()
        self.monitor = Lines(directory / "qmp")
        self.monitor.read(10)  # its greeting
        self.monitor.ask("qmp_capabilities")
        self.agent = Lines(directory / "agent")

    def wait_for_agent(self, seconds: float) -> float:
        """Seconds from the machine's start to the agent's first answer."""
        while True:
            with contextlib.suppress(TimeoutError):
                self.agent.ask("guest-ping", 0.25)
                break
            assert time.monotonic() - self.started < seconds, self.console()[-2000:]
        answered = time.monotonic() - self.started
        # Pings nobody took before the agent came are answered now: read them off.
        with contextlib.suppress(TimeoutError):
            while True:
                self.agent.read(1)
        return answered

    def run(self, *command: str, seconds: float = 30) -> tuple[int, str]:
        """A program run by the agent: its exit code and its output."""
        started = self.agent.ask("guest-exec", path=command[0], arg=command[1:], **{"capture-output": True})
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self.agent.ask("guest-exec-status", pid=started["pid"])
            if status["exited"]:
                output = base64.b64decode(status.get("out-data", "")) + base64.b64decode(status.get("err-data", ""))
                return status.get("exitcode", -1), output.decode()
            time.sleep(0.1)
        raise TimeoutError(command)

    def plug_network(self) -> None:
        self.monitor.ask("netdev_add", type="user", id="net0")
        self.monitor.ask("device_add", driver="virtio-net-pci", netdev="net0", id="card0")

    def console(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "serial.log").read_text(errors="replace")
        return ""

    def picture(self, target: Path) -> None:
        self.monitor.ask("screendump", filename=str(target), format="png")

    def close(self) -> None:
        self.agent.close()
        self.monitor.close()
        self.process.kill()
        self.process.wait()


def _command(image: Built, directory: Path, overlay: Path, memory_mb: int, seed: Path | None) -> list[str | Path]:
    kernel: list[str | Path] = []
    if image.kernel and image.initrd:
        kernel = ["-kernel", image.kernel, "-initrd", image.initrd, "-append", image.command_line]
    return [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", f"{memory_mb}M", "-display", "none"),
        *("-nodefaults", "-vga", "std", "-no-reboot", *kernel),
        *("-drive", f"file={overlay},if=virtio,cache=unsafe"),
        *(("-drive", f"file={seed},if=virtio,format=raw,readonly=on") if seed else ()),
        *("-qmp", f"unix:{directory}/qmp,server=on,wait=off"),
        *("-serial", f"file:{directory}/serial.log", "-device", "virtio-serial-pci"),
        *("-chardev", f"socket,path={directory}/agent,server=on,wait=off,id=agent"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]


@contextlib.contextmanager
def machine(image: Built, directory: Path, memory_mb: int = 512, seed: Path | None = None) -> Iterator[Machine]:
    started = Machine(image, directory, memory_mb, seed)
    try:
        yield started
    finally:
        started.close()


def _connected(path: Path, seconds: float) -> socket.socket:
    # A socket's path may have about 100 characters: go by a descriptor of its directory.
    until = time.monotonic() + seconds
    while True:
        directory = os.open(path.parent, os.O_RDONLY)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{path.name}")
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        finally:
            os.close(directory)
