"""Passwords that are in use stay in this process: no core dump has them, no other process of the user reads them."""

import ctypes
import resource
import sys

_SET_DUMPABLE = 4  # PR_SET_DUMPABLE of linux/prctl.h


def keep_private() -> None:
    """For this process. Those it starts get no core dumps either, and are else what they are.

    A limit alone would not do: where the system pipes core dumps to a program, as systemd does, it is not looked at.
    The price: debuggers and profilers of the same user cannot attach; root's can.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
