"""Numbers of a plot, worked out for its SVG: the template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deskwright.operations.attention import Took
from deskwright.web.words import duration

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 220, 62, 26, 10, 12
_ROUND = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800)


@dataclass(frozen=True)
class Mark:
    at: float
    text: str


@dataclass(frozen=True)
class Point:
    x: float
    p50: float
    p95: float
    took: Took


@dataclass(frozen=True)
class Plot:
    """Positions in units of the SVG's view box, `WIDTH` by `HEIGHT`."""

    points: Sequence[Point]
    levels: Sequence[Mark]
    moments: Sequence[Mark]

    def line(self, name: str) -> str:
        """The points of a polyline; `name` is p50 or p95."""
        return " ".join(f"{p.x:.1f},{getattr(p, name):.1f}" for p in self.points)

    @property
    def band(self) -> str:
        """Between the two lines."""
        up = [f"{p.x:.1f},{p.p50:.1f}" for p in self.points]
        back = [f"{p.x:.1f},{p.p95:.1f}" for p in reversed(self.points)]
        return " ".join((*up, *back))


def plot(took: Sequence[Took]) -> Plot | None:
    """None where there is nothing to draw."""
    if not took:
        return None
    most = max(t.p95 for t in took) or 1.0
    step = next((s for s in _ROUND if most / s <= 4), _ROUND[-1])
    top = step * max(int(-(-most // step)), 1)
    first, last = took[0].begins, took[-1].begins
    span = (last - first).total_seconds()

    def x(at: datetime) -> float:
        share = (at - first).total_seconds() / span if span else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(seconds: float) -> float:
        return HEIGHT - BOTTOM - seconds / top * (HEIGHT - BOTTOM - TOP)

    levels = [Mark(y(n * step), duration(n * step) if n else "0") for n in range(int(top // step) + 1)]
    form = "%H:%M" if span < 86400 else "%d %b"
    chosen = took if len(took) <= 6 else [took[round(n * (len(took) - 1) / 4)] for n in range(5)]
    moments = [Mark(x(t.begins), t.begins.strftime(form)) for t in chosen]
    return Plot([Point(x(t.begins), y(t.p50), y(t.p95), t) for t in took], levels, moments)
