"""Examining the tenant: what works, what is late, and the mend (R7)."""

from deskwright.operations import dead_letters, doctor
from deskwright.web.pages import page
from deskwright.web.view import Answer, View, show
from deskwright.web.words import Word

MARKS = {"ok": Word("Works", "good"), "warn": Word("Look at it", "warn"), "fail": Word("Does not work", "bad")}


@page("/admin/{tenant}/health")
def examine(view: View) -> Answer:
    """Providers are asked, so the findings come after the page is there; without JavaScript they come with it."""
    if not view.fragment and "findings" not in view.request.query_params:
        return show("admin/health.html", findings=None, marks=MARKS)
    findings = list(doctor.examine_tenant(view.world, view.tenant))
    order = {"fail": 0, "warn": 1, "ok": 2}
    findings.sort(key=lambda f: order[f.mark])
    dead = dead_letters.count(view.database, view.tenant)
    block = "findings" if view.fragment else None
    return show("admin/health.html", block, findings=findings, marks=MARKS, dead=dead)
