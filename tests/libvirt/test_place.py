"""Waiting within a call: short, and the less often looked at the longer it has taken."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from deskwright.providers.contract import NotYet
from deskwright.providers.libvirt import place as places
from deskwright.providers.libvirt.place import PATIENCE_SECONDS, Place


@pytest.mark.parametrize(("waited", "looks"), [(0.0, 31), (32.0, 7), (900.0, 4)])
def test_what_takes_long_is_looked_at_less_often(monkeypatch: pytest.MonkeyPatch, waited: float, looks: int) -> None:
    """Each look costs an emulated machine some of the host's time."""
    now, seen = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock: Any = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr(places, "time", clock)
    records: Any = SimpleNamespace(now=lambda: datetime.now(UTC))
    here = Place(None, None, records, None)  # type: ignore[arg-type]
    with pytest.raises(NotYet, match="no address"):
        here.patiently(lambda: seen.append(now[0]), "no address", waited=waited)
    assert len(seen) == pytest.approx(looks, abs=1)
    assert now[0] <= PATIENCE_SECONDS + 1
