"""V6: the short form of the crash matrix, `make chaos`: one case of each kind, with fewer people.

The full one kills at every step, before, inside and after it, on one and on three workers.
"""

from collections.abc import Iterator

import pytest

from bench.chaos.cases import Case, frozen, killed, late, postgresql_killed
from deskwright.bench.ground import Server, server

pytestmark = pytest.mark.processes

SHORT = (
    killed("provision", "inside", 2),
    killed("grace end, clean-up, image", "after", 1),
    frozen("before", gone=True, steps=("C1", "C3", "C5", "A1")),
    late("deploymentTimeout"),
    postgresql_killed(1),
)


@pytest.fixture(scope="module")
def ground() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_v6_nothing_is_lost_doubled_or_leaked(case: Case, ground: Server) -> None:
    result = case.run(ground, ground.directory)
    found = result.judgement
    assert not found.lost
    assert not found.doubled
    assert not found.leaked
    assert all(seconds < 60 for seconds in result.resumed)
