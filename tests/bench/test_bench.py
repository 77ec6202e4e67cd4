"""The benchmark works: every part in its smallest form, and the shape of what it says. Never its speed."""

import json
from collections.abc import Iterator

import pytest
from rich.console import Console

from deskwright.bench.ground import Server, server
from deskwright.bench.machine import describe
from deskwright.bench.parts import FULL, PARTS, QUICK, SMALLEST
from deskwright.bench.results import Measure, Part, show_machine, show_part
from deskwright.cli.bench_command import PartName
from deskwright.provision.pipeline import PIPELINE

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def ground() -> Iterator[Server]:
    with server() as started:
        yield started


@pytest.mark.parametrize("name", PARTS)
def test_a_part_measures_something(ground: Server, name: str) -> None:
    told: list[str] = []
    part = PARTS[name].run(ground, told.append, **PARTS[name].sizes[SMALLEST])
    assert told

    said = json.loads(json.dumps(part.as_json()))
    assert set(said) == {"title", "measures", "notes", "details"}
    for measure in said["measures"]:
        assert set(measure) == {"measure", "value", "unit", "goal", "met"}
        assert isinstance(measure["value"], float | int), measure
        assert (measure["met"] is None) == (measure["goal"] is None)
    assert any(measure["goal"] is not None for measure in said["measures"])

    console = Console(width=120, record=True)
    show_part(console, part)
    assert part.title in console.export_text()
    if name == "provisioning":
        # What the raw side repeats is complete: every step's row, begun and ended, in commits of its own.
        rows = said["details"]["recordedRows"]
        assert rows["public.steps insert"] == rows["public.steps update"] == len(PIPELINE)
        (raw,) = [m["value"] for m in said["measures"] if m["measure"].strip() == "raw"]
        assert raw > len(PIPELINE)


def test_the_machine_is_described(ground: Server) -> None:
    about = describe(ground.directory, ground.version())
    assert about["calibrationNsBefore"] > 0
    assert about["postgresql"]
    console = Console(width=120, record=True)
    show_machine(console, about)
    assert str(about["cpu"]) in console.export_text()


def test_every_part_has_every_size_and_is_a_choice_of_the_command() -> None:
    assert list(PARTS) == [str(name) for name in PartName]
    for part in PARTS.values():
        assert set(part.sizes) == {FULL, QUICK, SMALLEST}


def test_a_goal_is_told_in_words() -> None:
    console = Console(width=120, record=True)
    show_part(console, Part("p", "Part", [Measure("fast", 1.0, "s", 2.0), Measure("slow", 3.0, "s", 2.0)]))
    lines = console.export_text().splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("fast", "slow"))] == ["yes", "no"]
