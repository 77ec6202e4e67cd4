"""A connection to a port on the loopback of a host that is reached by ssh, as libvirt itself reaches that host."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit


def command(uri: str, address: str, port: int) -> Sequence[str]:
    """What is run for it. uri: libvirt's, ``qemu+ssh://user@host/system``; its parameters count as for libvirt
    (https://libvirt.org/uri.html#ssh-transport)."""
    parts, given = urlsplit(uri), parse_qs(urlsplit(uri).query)
    words = [
        given.get("command", ["ssh"])[0],
        "-T",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=10",
        "-o",
        "LogLevel=ERROR",
    ]
    if parts.port:
        words += ["-p", str(parts.port)]
    if parts.username:
        words += ["-l", parts.username]
    if "keyfile" in given:
        words += ["-i", given["keyfile"][0]]
    if given.get("no_verify", ["0"])[0] != "0":
        # A key that has changed since would be let pass, but nothing be forwarded.
        words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    # A host's name that begins with a hyphen is no option.
    return [*words, "-W", f"{address}:{port}", "--", str(parts.hostname)]


def connect(uri: str, address: str, port: int, seconds: float) -> socket.socket:
    """Raises OSError. What goes wrong on the way ends the connection, and ssh says it to this process's log.

    seconds: for each word on it.
    """
    words = command(uri, address, port)
    if shutil.which(words[0]) is None:
        raise OSError(f"{words[0]} is not installed here")
    ours, theirs = socket.socketpair()
    with theirs:
        # It ends with the connection: then it reads the end of its input.
        way = subprocess.Popen(words, stdin=theirs.fileno(), stdout=theirs.fileno())  # noqa: S603 - a list
    threading.Thread(target=way.wait, name="ssh", daemon=True).start()
    ours.settimeout(seconds)
    return ours
