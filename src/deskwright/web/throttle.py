"""Holding sign-ins to a rate: by where they come from, and how many are under way at all.

An account locks itself after several errors (`identity.sign_in`); this is against one place that tries many accounts,
and against floods.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

ATTEMPTS, SECONDS = 30, 300.0
_PLACES = 10_000
_AT_ONCE = 8


class TooMany(Exception):
    """Come again later."""


class Throttle:
    """Of one process; bounded memory."""

    def __init__(self, attempts: int = ATTEMPTS, seconds: float = SECONDS) -> None:
        self.attempts, self.seconds = attempts, seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Place -> (attempts left, at which moment)."""
        self._lock = threading.Lock()
        self._under_way = threading.BoundedSemaphore(_AT_ONCE)

    @contextmanager
    def attempt(self, address: str) -> Iterator[None]:
        """One attempt from there. Raises TooMany."""
        self._take(_place(address), time.monotonic())
        if not self._under_way.acquire(timeout=5):
            raise TooMany
        try:
            yield
        finally:
            self._under_way.release()

    def _take(self, place: str, now: float) -> None:
        with self._lock:
            left, then = self._left.pop(place, (float(self.attempts), now))
            left = min(left + (now - then) * self.attempts / self.seconds, float(self.attempts))
            self._left[place] = (max(left - 1, 0.0), now)
            if len(self._left) > _PLACES:
                self._left.popitem(last=False)
        if left < 1:
            raise TooMany


def _place(address: str) -> str:
    """An IPv6 customer has a whole /64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(IPv6Address(int(found) >> 64 << 64)) if isinstance(found, IPv6Address) else str(found)
