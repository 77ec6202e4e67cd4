"""R6: the table of metrics, what is told of it, and who may read it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from deskwright.operations import measures
from deskwright.settings import Settings
from deskwright.telemetry import exposition, metrics
from deskwright.telemetry.exposition import Sample
from deskwright.telemetry.metrics import METRICS
from tests.company import Company

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "observability" / "dashboard.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((ROOT / "deploy" / "observability" / "alerts.yaml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
_NAME = re.compile(r"\b(?:deskwright|process)_[a-z_]+\b")
_SELECTED = re.compile(r"\b(deskwright_[a-z_]+)\{([^}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")
_ADDED = {"instance", "job", "le"}
"""Labels of Prometheus' own."""


def series() -> dict[str, metrics.Metric]:
    """Every name that a query may use."""
    found: dict[str, metrics.Metric] = {}
    for metric in METRICS:
        endings = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        found |= {f"{metric.name}{ending}": metric for ending in endings}
    return found


def expressions() -> list[tuple[str, str]]:
    """(where, PromQL) of the dashboard and the rules."""
    panels = [(p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p.get("targets", [])]
    return [*panels, *((rule["alert"], rule["expr"]) for rule in RULES)]


def value(metric: metrics.Metric, *labels: str, ending: str = "") -> float:
    """What this process has counted."""
    given = dict(zip(metric.labels, labels, strict=True))
    return float(metrics.registry().get_sample_value(f"{metric.name}{ending}", given) or 0)


def test_names_follow_prometheus() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"deskwright_[a-z_]+[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram")
        if metric.kind == "histogram" or "seconds" in metric.name:
            assert metric.name.endswith("_seconds")
            assert "econds" in metric.meaning
        # Prometheus' own would hide them; a person's or a tenant's name has no bound.
        assert not {"job", "instance", "le", "user", "tenant", "name"} & set(metric.labels), metric.name


def test_the_page_tells_of_every_metric_and_of_no_other() -> None:
    rows = {row.split("`")[1]: row for row in PAGE.splitlines() if row.startswith("| `deskwright_")}
    assert list(rows) == [metric.name for metric in METRICS]
    for metric in METRICS:
        cells = [cell.strip() for cell in rows[metric.name].strip("|").split("|")]
        labels = ", ".join(f"`{label}`" for label in metric.labels) + (" (`tenant`)" if metric.by_tenant else "")
        assert cells[1:] == [metric.kind, labels.strip(), metric.meaning.replace("|", "\\|")], metric.name


@pytest.mark.parametrize(("where", "query"), expressions(), ids=lambda v: str(v)[:40])
def test_dashboard_and_rules_use_what_there_is(where: str, query: str) -> None:
    known = series()
    named = set(_NAME.findall(query))
    assert named, where
    assert {name for name in named if name.startswith("deskwright_")} <= set(known)
    assert {n for n in named if n.startswith("process_")} <= {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    }
    labels = {label for name in named if name in known for label in known[name].labels}
    labels |= {"tenant"} if any(known[name].by_tenant for name in named if name in known) else set()
    for name, chosen in _SELECTED.findall(query):
        assert set(re.findall(r"(\w+)\s*=", chosen)) <= set(known[name].labels)
    for group in _BY.findall(query):
        assert {label.strip() for label in group.split(",")} <= labels | _ADDED, query


def test_rules_say_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "mend"}
    wanted = ("Runs", "Queue", "Reconcile", "Connection", "Seats", "Addresses", "Workers", "Ledger", "DeadLetters")
    assert all(any(name.startswith(f"Deskwright{what}") for name in names) for what in wanted)


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and {"h", "w", "x", "y"} == set(panel["gridPos"]) for panel in panels)
    assert {p["datasource"]["uid"] for p in panels if p["type"] != "row"} == {"${datasource}"}
    taken = {
        (x, y)
        for p in panels
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    }
    assert len(taken) == sum(p["gridPos"]["w"] * p["gridPos"]["h"] for p in panels), "no panel lies over another"


def test_every_shared_metric_is_measured(company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.settle()
    found = {sample.metric.name for sample in measures.Measuring(company.world).samples()}
    assert found == {metric.name for metric in METRICS if metric.shared}


def test_the_text_can_be_read() -> None:
    metrics.begin("1.2.3")
    written = exposition.text(
        [
            Sample(metrics.CLOUD_PCS, 3, ("failed",)),
            Sample(metrics.CLOUD_PCS, 5, ("provisioned",)),
            Sample(metrics.WORKERS_ALIVE, 2),
            Sample(metrics.SEATS, 7, (), "9d0f2c35-5a5c-4a0f-8a51-1f0c3c1b7a11"),
        ]
    ).decode()
    families = {f.name: f for f in text_string_to_metric_families(written)}
    assert [(s.labels, s.value) for s in families["deskwright_cloud_pcs"].samples] == [
        ({"status": "failed"}, 3),
        ({"status": "provisioned"}, 5),
    ]
    assert families["deskwright_workers_alive"].documentation == metrics.WORKERS_ALIVE.meaning
    assert families["deskwright_seats"].samples[0].labels == {"tenant": "9d0f2c35-5a5c-4a0f-8a51-1f0c3c1b7a11"}
    assert {"version": "1.2.3"} in [s.labels for s in families["deskwright_build_info"].samples]
    assert "_created" not in written
    for metric in METRICS:
        if not metric.shared:
            assert metric.name.removesuffix("_total") in families, "there from the start"


@pytest.mark.parametrize(
    ("token", "peer", "headers", "may"),
    [
        (None, "127.0.0.1", {}, True),
        (None, "::1", {}, True),
        (None, "10.0.0.7", {}, False),
        (None, None, {}, False),
        (None, "testclient", {}, False),
        (None, "127.0.0.1", {"x-forwarded-for": "10.0.0.7"}, False),
        (None, "127.0.0.1", {"forwarded": "for=10.0.0.7"}, False),
        (None, "10.0.0.7", {"authorization": "Bearer "}, False),
        ("0123456789abcdef", "10.0.0.7", {"authorization": "Bearer 0123456789abcdef"}, True),
        ("0123456789abcdef", "10.0.0.7", {"authorization": "bearer 0123456789abcdef"}, True),
        ("0123456789abcdef", "10.0.0.7", {"authorization": "Bearer 0123456789abcdee"}, False),
        ("0123456789abcdef", "10.0.0.7", {"authorization": "Basic 0123456789abcdef"}, False),
        ("0123456789abcdef", "127.0.0.1", {}, False),
    ],
)
def test_who_may_read(token: str | None, peer: str | None, headers: dict[str, str], may: bool, tmp_path: Path) -> None:
    given: dict[str, Any] = {"metrics_token": SecretStr(token)} if token else {}
    assert exposition.may_read(Settings(data_dir=tmp_path, **given), peer, headers) is may


def test_a_run_is_counted(company: Company) -> None:
    before = {
        "ended": value(metrics.RUNS_ENDED, "provision", "succeeded"),
        "failed": value(metrics.RUNS_ENDED, "provision", "failed"),
        "attempts": value(metrics.ATTEMPTS, "provision"),
        "why": value(metrics.RUN_FAILURES, "provision", "capacityUnavailable"),
        "errors": value(metrics.PROVIDER_ERRORS, "compute", "simulator", "capacityUnavailable"),
        "steps": value(metrics.STEP_SECONDS, "A1", "succeeded", ending="_count"),
        "bad": value(metrics.STEP_SECONDS, "C1", "failed", ending="_count"),
    }
    company.basics("adele", "alex")
    company.fault("C1", "capacityUnavailable", user="alex")
    company.settle().advance(minutes=10)
    assert {pc.status for pc in company.pcs()} == {"provisioned", "failed"}
    assert value(metrics.RUNS_ENDED, "provision", "succeeded") == before["ended"] + 1
    assert value(metrics.RUNS_ENDED, "provision", "failed") == before["failed"] + 1
    assert value(metrics.ATTEMPTS, "provision") == before["attempts"] + 4
    assert value(metrics.RUN_FAILURES, "provision", "capacityUnavailable") == before["why"] + 1
    assert value(metrics.PROVIDER_ERRORS, "compute", "simulator", "capacityUnavailable") == before["errors"] + 3
    assert value(metrics.STEP_SECONDS, "A1", "succeeded", ending="_count") == before["steps"] + 1
    assert value(metrics.STEP_SECONDS, "C1", "failed", ending="_count") == before["bad"] + 3


def test_a_steps_duration_is_in_the_tenants_time_with_its_waits(company: Company) -> None:
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.basics("adele")
    before = value(metrics.STEP_SECONDS, "C2", "succeeded", ending="_sum")
    while company.status("adele") != "provisioned":
        company.advance(seconds=60)
    ((took,),) = company.sql("SELECT extract(epoch FROM ended_at - started_at) FROM steps WHERE step = 'C2'")
    assert took > 30
    assert value(metrics.STEP_SECONDS, "C2", "succeeded", ending="_sum") - before == pytest.approx(float(took), abs=2)
