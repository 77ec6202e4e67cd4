"""A hypervisor, as its libvirt address names it: one connection for each process, opened again when it is lost."""

import os
import threading
from typing import Any

import libvirt

# libvirt prints every error, also those that are handled.
libvirt.registerErrorHandler(lambda *_: None, None)

_LOST = {libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_RPC}
# These are of the connection where they come from it; a full disk is a system error, too.
_LOST_ON_THE_WAY = {libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR}
_FULL = ("Cannot allocate memory", "No space left", "cannot set up guest memory")
_ABSENT = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_STORAGE_VOL,
    libvirt.VIR_ERR_NO_NWFILTER,
}

# By process and address. What a forked process inherits is kept, too: closing it would end it for its parent.
_connections: dict[tuple[int, str], Any] = {}
_lock = threading.Lock()


def connect(uri: str) -> Any:
    """The virConnect of this process. Raises libvirtError where libvirt does not answer."""
    with _lock:
        own = os.getpid(), uri
        connection = _connections.get(own)
        if connection is not None and _alive(connection):
            return connection
        _connections[own] = libvirt.open(uri)
        return _connections[own]


def _alive(connection: Any) -> bool:
    try:
        connection.getLibVersion()  # `isAlive` does not notice that the other side has gone until something is sent
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def is_lost(error: Exception) -> bool:
    """Whether the host could not be reached, so that the same may be asked again."""
    if not isinstance(error, libvirt.libvirtError):
        return False
    code, origin = error.get_error_code(), error.get_error_domain()
    on_the_way = origin in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
    return code in _LOST or (code in _LOST_ON_THE_WAY and on_the_way)


def is_full(error: Exception) -> bool:
    """Whether the host has no memory or no disk left for it."""
    return any(words in str(error) for words in _FULL)


def is_absent(error: Exception) -> bool:
    """Whether what was asked for is not there."""
    return isinstance(error, libvirt.libvirtError) and error.get_error_code() in _ABSENT


def found(ask: Any, *arguments: Any) -> Any:
    """What a look-up finds; None where it is not there."""
    try:
        return ask(*arguments)
    except libvirt.libvirtError as error:
        if is_absent(error):
            return None
        raise


def said(error: Exception) -> str:
    """libvirt's words, on one line and bounded. What really happened often stands at the end, after a command line."""
    words = " ".join(str(error).split())
    return words if len(words) <= 300 else f"{words[:120]} ... {words[-175:]}"
