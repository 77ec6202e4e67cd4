"""The speed of a simulated tenant: by what its durations are divided, or ``instant``."""

import math

from deskwright.domain.rules import Refused

INSTANT = "instant"
FASTEST = 1_000_000


def check_speed(value: float | str) -> float:
    """The number to divide by; infinity for ``instant``. Raises Refused."""
    if value == INSTANT:
        return math.inf
    try:
        speed = float(value)
    except ValueError:
        speed = math.nan
    # Written so that NaN, which compares as false, is refused too.
    if 0 < speed <= FASTEST:
        return speed
    raise Refused("simulation.speed", value, f"must be more than 0 and at most {FASTEST:,}, or '{INSTANT}'")


def shown_speed(speed: float) -> float | str:
    """As documents, the API and people write it: infinity is no JSON."""
    return INSTANT if speed == math.inf else speed
