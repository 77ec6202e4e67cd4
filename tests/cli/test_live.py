"""The live view: readable without colour, in 80 columns and more, and as plain lines where there is no terminal."""

import re
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from deskwright.cli import live
from deskwright.cli.live import Lines, Picture, follow, render, short_plan, strip, take
from deskwright.cli.summary import print_summary
from tests.company import PLAN, Company

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def row(user: str = "adele", **more: Any) -> dict[str, Any]:
    return {
        "id": user,
        "userPrincipalName": f"{user}@contoso.com",
        "managedDeviceName": f"CPC-{user}-7K2QX",
        "servicePlanName": PLAN,
        "provisioningPolicyName": "Desktops",
        "status": "provisioning",
        "statusDetail": None,
        "warnings": [],
        "runKind": "provision",
        "powerState": None,
        "stage": "core",
        "step": "C2",
        "stepTitle": "Create VM",
        "steps": {"C1": "succeeded", "C2": "running"},
        "attempt": 1,
        "attempts": 3,
        "since": NOW,
        "waitingFor": None,
        "waitingReason": None,
        "wakeDateTime": None,
        "queuePosition": None,
        "gracePeriodEndDateTime": None,
        "etaSeconds": 125.0,
        "progress": 0.2,
        "now": NOW,
        **more,
    }


READY: dict[str, Any] = {
    "status": "provisioned",
    "stage": None,
    "step": None,
    "stepTitle": None,
    "attempt": None,
    "etaSeconds": None,
}


def picture(*rows: dict[str, Any], under_way: int = 1) -> Picture:
    counts: dict[str, int] = {}
    for one in rows:
        counts[one["status"]] = counts.get(one["status"], 0) + 1
    return Picture("contoso.com", rows, counts, under_way)


def drawn(what: Picture, width: int, height: int = 100) -> list[str]:
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True)
    console.print(render(what, width, height))
    return console.export_text(styles=False).rstrip("\n").split("\n")


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_every_line_fits(width: int) -> None:
    statuses = ("notProvisioned", "pendingProvision", "provisioned", "failed", "inGracePeriod", "deprovisioning")
    rows = [row(f"a-person-with-a-long-name-{n}", status=s, gracePeriodEndDateTime=NOW) for n, s in enumerate(statuses)]
    lines = drawn(picture(row(), *rows), width)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) == 3 + 1 + len(rows) + 1 + 1


def test_a_line_says_without_colour_who_what_where_and_how_long() -> None:
    line = next(line for line in drawn(picture(row()), 80) if "adele" in line)
    assert re.search(r"▶ +adele +2/8/128 +■▸····│·······│·· +Create VM +1/3 +2 min", line)


def test_wider_terminals_show_device_and_policy() -> None:
    assert "CPC-adele-7K2QX" not in "\n".join(drawn(picture(row()), 80))
    assert "CPC-adele-7K2QX" in "\n".join(drawn(picture(row()), 110))
    assert "Desktops" in "\n".join(drawn(picture(row()), 140))


def test_the_strip_has_a_shape_for_each_outcome() -> None:
    running = {"C1": "succeeded", "C2": "running"}
    assert strip(row(steps=running)).plain == "■▸····│·······│··"
    assert strip(row(steps={"C1": "succeeded", "C2": "failed"}, status="failed")).plain == "■✗····│·······│··"
    ready = dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6", "P1", "P2", "P5", "P6", "P7", "A0", "A1"), "succeeded")
    warned = row(**{**READY, "status": "provisionedWithWarnings"}, steps={**ready, "P3": "skipped", "P4": "warning"})
    warned["warnings"] = [{"step": "P4", "code": "teamsOptimizationError", "message": ""}]
    assert strip(warned).plain == "■■■■■■│■■-!■■■│■■"
    # After a repair the last run has only its own steps: the others are still done.
    assert strip(row(**READY, steps={"P4": "succeeded"})).plain == "■■■■■■│■■■■■■■│■■"


def test_the_bar_counts_what_can_be_done_now() -> None:
    waiting = row("ben", status="pendingProvision", waitingFor="seat", queuePosition=1, progress=0.0, etaSeconds=None)
    assert picture(row("a", **READY), row("b", **READY), waiting, under_way=0).progress == 1.0
    assert picture(row("a", **READY), row("b", progress=0.5)).progress == 0.75
    assert picture(row("a", **READY), row("b", progress=0.5)).eta_seconds == 125.0


def test_where_not_everything_fits_the_urgent_stay_and_the_rest_is_counted() -> None:
    rows = [row(f"r{n}", **READY) for n in range(30)] + [row("busy"), row("sad", status="failed")]
    text = "\n".join(drawn(picture(*rows), 80, height=10))
    assert "busy" in text
    assert "sad" in text
    assert "… and 22 more" in text


def test_names_lose_their_domain_only_where_all_have_the_same() -> None:
    assert "adele@" not in "\n".join(drawn(picture(row()), 80))
    other = row("x", userPrincipalName="x@fabrikam.com")
    assert "adele@con" in "\n".join(drawn(picture(row(), other), 80))


def test_words() -> None:
    assert short_plan(PLAN) == "2/8/128"
    assert short_plan("Frontline") == "Frontline"
    assert [live.duration(s) for s in (None, 8, 125, 7300, 7 * 86400)] == ["", "8 s", "2 min", "2 h", "7 d"]
    paused = row(steps={}, wakeDateTime=NOW, attempt=2)
    assert live.doing(paused) == "pause, then try again"
    assert live.doing(row(status="pendingProvision", waitingFor="seat", queuePosition=3)) == "waits for seat, no. 3"


def test_without_a_terminal_a_line_for_each_change_of_status_stage_or_attempt() -> None:
    said = StringIO()
    lines = Lines(Console(file=said, width=80))
    with lines:
        lines.show(picture(row()), None)
        lines.show(picture(row(step="C3", stepTitle="Attach network")), None)  # same stage: nothing new
        lines.show(picture(row(stage="configure", step="P1", stepTitle="Hide power icons")), None)
        lines.show(picture(row(attempt=2)), "The service was killed.")
        lines.show(picture(row(**READY)), None)
    told = said.getvalue().splitlines()
    assert len(told) == 5
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in told)
    assert told[0].endswith("adele@contoso.com  2/8/128  provisioning, core, attempt 1/3: Create VM")
    assert "configure" in told[1]
    assert told[2].endswith("The service was killed.")
    assert "attempt 2/3" in told[3]
    assert told[4].endswith("provisioned: ready")
    assert "\x1b" not in said.getvalue()


def test_following_a_tenant_until_it_has_settled(company: Company) -> None:
    company.basics("adele", "alex")
    company.fault("C2", "imageNotSupportedFail", user="alex")
    company.settle()
    said = StringIO()
    last = follow(company.world.database, company.tenant, Console(file=said, width=80))
    assert last.under_way == 0
    assert last.counts == {"provisioned": 1, "failed": 1}
    assert "alex@contoso.com" in said.getvalue()
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.user("ben")
    company.join("ben", "Sales")
    late = follow(company.world.database, company.tenant, Console(file=said, width=80), timeout=0.1)
    assert late.under_way > 0


def test_the_closing_summary_says_what_failed_why_and_what_to_type(company: Company) -> None:
    company.basics("adele", "alex", "ben", "zoe")
    company.seats(PLAN, 3)
    company.fault("C2", "imageNotSupportedFail", user="alex")
    company.fault("P5", "timeZoneRedirectionError", user="ben")
    company.settle()
    said = StringIO()
    console = Console(file=said, width=100)
    now = take(company.world.database, company.tenant)
    print_summary(company.world.database, company.tenant, console, now, "DESKWRIGHT_DATA_DIR=.demo deskwright")
    text = said.getvalue()
    assert "4 Cloud PCs" in text
    assert "alex@contoso.com (2/8/128) failed" in text
    assert "Cause" in text
    assert "Remedy" in text
    assert "DESKWRIGHT_DATA_DIR=.demo deskwright show alex@contoso.com" in text
    assert re.search(r"DESKWRIGHT_DATA_DIR=.demo deskwright repair CPC-ben-\w+", text)
    assert "zoe@contoso.com (2/8/128): waits for a seat, place 1" in text
