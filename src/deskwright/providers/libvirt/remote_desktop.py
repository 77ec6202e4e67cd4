"""The other way in: the machine's remote desktop, tried where it can be tried.

Step P7 closes its port to everybody but the gateway, and a machine's network may be one that only its host knows. So
the machine itself, through its guest agent, asks at its own address: that shows that the desktop is served there. From
here it is asked where this process belongs to the gateway's network, for then it must be let in.
"""

import ipaddress
import socket
import textwrap
import time
from dataclasses import dataclass
from typing import Any

from deskwright.guest.gateway import gateway_network
from deskwright.guest.script import Script
from deskwright.providers import rdp
from deskwright.providers.libvirt import agent

SECONDS = 3.0
"""For a server to answer, here or there."""
_NONE, _CANNOT = "none", "cannot"

# Not offered: nothing of it is installed, and nothing listens. Bash is what each Linux has to open a connection with.
_LINUX = """\
listens() {
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" && $2 ~ /:HEXPORT$/ { yes = 1 } END { exit !yes }'
}
if ! command -v xrdp >/dev/null 2>&1 && ! listens; then echo none; exit 0; fi
listens || { echo "error nothing listens there"; exit 0; }
command -v bash >/dev/null 2>&1 || { echo "cannot be tried inside, where there is no bash"; exit 0; }
timeout SECONDS bash -c '
  exec 3<>/dev/tcp/ADDRESS/PORT || exit 1
  printf "ASKED" >&3
  hex() { head -c "$1" <&3 | od -An -v -tx1 | tr -d " \\n"; }
  begin=$(hex 4)
  case $begin in 0300*) rest=$((16#${begin:4:4} - 4)) ;; *) rest=0 ;; esac
  [ $rest -gt 0 ] && [ $rest -lt LONGEST ] && begin=$begin$(hex $rest)
  echo "answer $begin"' </dev/null 2>/dev/null && exit 0
[ $? = 124 ] && echo "error it took the connection and did not answer within SECONDS s" || echo "error no connection"
"""
# Read as if typed: one block with no empty line in it, and one after it.
_WINDOWS = """\
& {
try {
$server = Get-ItemProperty 'HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Terminal Server'
if ($server.fDenyTSConnections -ne 0) { 'none'; return }
$client = New-Object Net.Sockets.TcpClient
try {
if (-not $client.ConnectAsync('ADDRESS', PORT).Wait(SECONDS000)) { throw 'timed out' }
$stream = $client.GetStream()
$stream.ReadTimeout = SECONDS000
$stream.Write([byte[]](ASKED), 0, 19)
$answer = New-Object byte[] LONGEST
$read = $stream.Read($answer, 0, $answer.Length)
'answer ' + [BitConverter]::ToString($answer, 0, $read).Replace('-', '')
} finally { $client.Close() }
} catch { 'error ' + $_.Exception.GetBaseException().Message }
}

"""


@dataclass(frozen=True)
class Offer:
    """What a machine with a remote desktop found at its own address."""

    address: str
    security: str
    """Empty: it could not be tried inside."""
    why: str = ""


def offered(machine: Any, os_family: str, address: str) -> Offer | None:
    """What a running machine finds at its own address; None where it offers no remote desktop.

    Raises agent.Silent, agent.StillRuns, rdp.NotAnswered.
    """
    return found(agent.run(machine, script(os_family, address)).output, address)


def script(os_family: str, address: str, port: int = rdp.PORT) -> Script:
    """For inside: prints ``none`` where no remote desktop is offered, ``answer`` and bytes, or ``error`` and why."""
    linux = os_family != "windows"
    asked = "".join(f"\\x{byte:02x}" for byte in rdp.ASKED) if linux else ", ".join(map(str, rdp.ASKED))
    values = {
        "HEXPORT": f"{port:04X}",
        "ADDRESS": str(ipaddress.ip_address(address)),  # the machine may have told it
        "PORT": str(port),
        "ASKED": asked,
        "SECONDS": str(int(SECONDS)),
        "LONGEST": str(rdp.LONGEST),
    }
    text = _LINUX if linux else _WINDOWS
    for name, value in values.items():
        text = text.replace(name, value)
    if linux:
        return Script(("/bin/sh", "-s"), text)
    powershell = ("powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass")
    return Script((*powershell, "-Command", "-"), text)


def found(printed: str, address: str) -> Offer | None:
    """What the script printed, read; None where the machine offers no remote desktop. Raises rdp.NotAnswered."""
    word, _, rest = printed.strip().partition(" ")
    if word == _NONE:
        return None
    if word == _CANNOT:
        return Offer(address, "", f"{word} {rest}")
    if word != "answer":
        raise rdp.NotAnswered(rest or "its shell said nothing")
    try:
        answer = bytes.fromhex(rest)
    except ValueError:
        raise rdp.NotAnswered(textwrap.shorten(rest, 100)) from None
    return Offer(address, rdp.read(answer).security)


def reached(offer: Offer, gateway: str, port: int = rdp.PORT) -> str:
    """What can be told of a remote desktop that answers inside. gateway: who is let in, by P7 and by
    the machine's network; empty: nobody.

    Raises rdp.NotAnswered where this process is the gateway, or of its network, and is not answered.
    """
    at = f"{offer.address}:{port}"
    inside = f"answered in the machine itself ({offer.security})" if offer.security else offer.why
    network = gateway_network(gateway)
    if network is None:
        return f"remote desktop at {at} {inside}; not tried from here: nobody is let in"
    own = _source_towards(offer.address)
    if own is None or own not in network:
        return f"remote desktop at {at} {inside}; not tried from here: only {gateway} is let in"
    began = time.monotonic()
    try:
        answer = rdp.try_out(offer.address, port, SECONDS)
    except rdp.NotAnswered as nothing:
        raise rdp.NotAnswered(f"{nothing}, from {own}, which belongs to the gateway's network {gateway}") from None
    took = (time.monotonic() - began) * 1000
    return f"remote desktop at {at} answered to {own} in {took:.0f} ms ({answer.security})"


def _source_towards(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """From which address this process would go there; None where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        try:
            wire.connect((address, rdp.PORT))  # nothing is sent
        except OSError:
            return None
        return ipaddress.ip_address(wire.getsockname()[0])
