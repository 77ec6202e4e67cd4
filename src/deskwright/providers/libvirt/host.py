"""A hypervisor, as its libvirt address names it: one connection for each process, opened again when it is lost."""

import os
import threading
from typing import Any

import libvirt

# libvirt prints every error, also those that are handled.
libvirt.registerErrorHandler(lambda *_: None, None)

_LOST = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_SYSTEM_ERROR,
    libvirt.VIR_ERR_RPC,
}
_ABSENT = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_STORAGE_VOL,
    libvirt.VIR_ERR_NO_NWFILTER,
}

_connections: dict[str, tuple[int, Any]] = {}  # by address: the process that opened it, and the connection
_lock = threading.Lock()


def connect(uri: str) -> Any:
    """The virConnect of this process. Raises libvirtError where libvirt does not answer."""
    with _lock:
        pid, connection = _connections.get(uri, (0, None))
        if connection is not None and pid == os.getpid() and _alive(connection):
            return connection
        connection = libvirt.open(uri)
        _connections[uri] = (os.getpid(), connection)
        return connection


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def is_lost(error: Exception) -> bool:
    """Whether the host could not be reached, so that the same may be asked again."""
    if not isinstance(error, libvirt.libvirtError):
        return False
    code, origin = error.get_error_code(), error.get_error_domain()
    return code in _LOST or (code == libvirt.VIR_ERR_INTERNAL_ERROR and origin in (libvirt.VIR_FROM_RPC,))


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
    """libvirt's words, on one line and bounded."""
    return " ".join(str(error).split())[:300]
