"""The whole product against a small model of SPEC sections 1-4, by generated sequences of events.

A fixed budget, the same sequences each time; `DESKWRIGHT_MODEL_EXAMPLES=5000` runs that many new ones. What it finds
becomes a test of its own in `test_found.py`.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from deskwright.store.database import Database
from tests.model.companies import companies

EXAMPLES = int(os.environ.get("DESKWRIGHT_MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("DESKWRIGHT_MODEL_STEPS", "30"))
SHRINK = not os.environ.get("DESKWRIGHT_MODEL_AS_FOUND")


def budget() -> settings:
    return settings(
        max_examples=EXAMPLES or 20,
        stateful_step_count=STEPS,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, *([Phase.shrink] if SHRINK else [])],
    )


def test_the_product_does_what_spec_says(server: Database, tmp_path: Path) -> None:
    """SPEC sections 1-4: whatever happens, in whatever order, it ends as they say."""
    with companies(server, tmp_path) as machine:
        run_state_machine_as_test(machine, settings=budget())
        print(dict(machine.met))
