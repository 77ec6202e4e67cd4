"""A machine's screen: QEMU's VNC server on the host's loopback, with a password for each who is admitted."""

import contextlib
import io
import ipaddress
import secrets
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import libvirt
from PIL import Image

from deskwright.providers import rfb
from deskwright.providers.contract import Screen
from deskwright.providers.libvirt import machine_xml, over_ssh
from deskwright.providers.libvirt.configuration import Configuration
from deskwright.providers.libvirt.host import said

PASSWORD_SECONDS = 60
"""A password is good for so long; who has connected stays connected."""
_CONNECT_SECONDS = 10.0


def admit(connection: Any, machine: Any, at: Configuration) -> Screen:
    """A fresh password, which replaces the one before it."""
    password = secrets.token_urlsafe(6)  # 8 characters: all that VNC authentication takes
    until = datetime.now(UTC) + timedelta(seconds=PASSWORD_SECONDS)
    xml = machine_xml.screen(password, at.console, until.strftime("%Y-%m-%dT%H:%M:%S"))
    machine.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    screen = Screen(at.console, _port(machine), password, machine.UUIDString())
    return replace(screen, way=lambda: reached(connection, at, screen))


def reached(connection: Any, at: Configuration, screen: Screen) -> socket.socket:
    """A connection to a screen. Raises OSError."""
    if at.is_local:
        return handed_over(connection, screen.machine)
    if not ipaddress.ip_address(at.console).is_loopback:
        return socket.create_connection((at.console, screen.port), _CONNECT_SECONDS)
    if at.is_over_ssh:
        return over_ssh.connect(at.uri, at.console, screen.port, _CONNECT_SECONDS)
    raise OSError(f"it listens on {at.console} of another host: compute.console of the site must be reached from here")


def handed_over(connection: Any, machine: str) -> socket.socket:
    """A connection to the screen of a machine on this host, which libvirt opens for us: no port, no network."""
    try:
        wire = socket.socket(fileno=connection.lookupByUUIDString(machine).openGraphicsFD(0, 0))
    except libvirt.libvirtError as error:
        raise OSError(said(error)) from error
    wire.settimeout(_CONNECT_SECONDS)
    return wire


def try_out(connection: Any, machine: Any, at: Configuration) -> rfb.Greeting:
    """Walk the way a person's browser takes. Raises rfb.NotAnswered."""
    screen = admit(connection, machine, at)
    try:
        with contextlib.closing(screen.connect()) as wire:
            return rfb.greet(wire, screen.password)
    except OSError as error:
        raise rfb.NotAnswered(str(error)) from error


def picture(connection: Any, machine: Any) -> bytes:
    """What it shows now, as PNG."""
    stream = connection.newStream()
    machine.screenshot(stream, 0)
    held = io.BytesIO(b"".join(_chunks(stream)))
    stream.finish()
    made = io.BytesIO()
    Image.open(held).convert("RGB").save(made, "PNG")  # QEMU gives PPM or PNG
    return made.getvalue()


def _chunks(stream: Any) -> Iterator[bytes]:
    while chunk := stream.recv(1 << 18):
        yield chunk


def _port(machine: Any) -> int:
    graphics = ET.fromstring(machine.XMLDesc()).find("devices/graphics[@type='vnc']")
    return int(graphics.get("port", "0")) if graphics is not None else 0
