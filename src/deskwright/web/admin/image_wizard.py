"""Making a device image: Name, Sites, Version, Source image, Review and create; then it is built at each site."""

import shlex

from deskwright.domain.images import check_version
from deskwright.domain.rules import Refused
from deskwright.operations import image_view, images, named, sites
from deskwright.operations.images import OS_FAMILIES
from deskwright.operations.named import Item
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, View, Went
from deskwright.web.wizard import Step, Wizard

_PATH = "/admin/{tenant}/images/new"
_FROM_URI = "uri"
"""The choice of a source that is none of the gallery's."""


def check_name(view: View) -> None:
    named.check_name("displayName", view.form.get("displayName"))


def check_sites(view: View) -> None:
    chosen = view.form.some("regions")
    if not chosen:
        raise Refused("regions", None, "choose at least one site")
    with view.reading() as connection:
        for region in chosen:
            try:
                sites.in_region(connection, view.tenant, region)
            except Refused as refused:
                raise Refused("regions", region, refused.rule, remedy=refused.remedy) from refused


def check_new_version(view: View) -> None:
    version = check_version(view.form.get("version"))
    with view.reading() as connection:
        if version in image_view.versions(connection, view.tenant, view.form.get("displayName")):
            remedy = "Give it a new version, or add the one there is to another site on its page"
            raise Refused("version", version, f"of {view.form.get('displayName')} is there already", remedy=remedy)


def check_source(view: View) -> None:
    chosen = view.form.get("source")
    offered = {image["id"]: image for image in images.list_gallery(view.database, view.tenant)}
    if chosen == _FROM_URI:
        return
    if chosen not in offered:
        raise Refused("source", chosen or None, "choose a gallery image, or a file by its address")
    if offered[chosen]["status"] == "notSupported":
        raise Refused("source", offered[chosen]["displayName"], "is not supported any more")


def check_uri(view: View) -> None:
    if view.form.get("source") == _FROM_URI:
        named.check_name("sourceUri", view.form.get("sourceUri"), longest=2000)


def check_family(view: View) -> None:
    if view.form.get("source") == _FROM_URI and view.form.get("osFamily") not in OS_FAMILIES:
        raise Refused("osFamily", view.form.get("osFamily") or None, f"must be one of: {', '.join(OS_FAMILIES)}")


def check_size(view: View) -> None:
    size = view.form.whole("sizeInGB")
    if size is not None and size < 1:
        raise Refused("sizeInGB", size, "must be at least 1")


def _source(view: View) -> dict[str, str]:
    chosen = view.form.get("source")
    return {"uri": view.form.get("sourceUri")} if chosen == _FROM_URI else {"gallery": chosen}


def _choice(image: Item) -> dict[str, str]:
    until = f"supported until {image['endDate']}" if image["status"] == "supported" else f"ended {image['endDate']}"
    return {
        "value": image["id"],
        "text": image["displayName"],
        "note": f"{image['osFamily'].capitalize()}, {image['sizeInGB']} GB, {until}",
        "why": "It is not supported any more." if image["status"] == "notSupported" else "",
    }


def next_version(there: list[str]) -> str:
    """What comes after the highest one: its last number plus one."""
    if not there:
        return "1.0.0"
    major, minor, last = there[-1].split(".")
    return f"{major}.{minor}.{int(last) + 1}"


def _more(view: View, step: Step) -> dict[str, object]:
    values: dict[str, object] = {"check": view.to("images", "new", "check")}
    if step.id in ("name", "version"):
        with view.reading() as connection:
            there = image_view.versions(connection, view.tenant, view.form.get("displayName"))
        values |= {"there": there, "proposed": next_version(there)}
    if step.id == "sites":
        found = sites.list_(view.database, view.tenant, limit=1000)
        values["all_sites"] = [s["name"] for s in found]
        values["site_choices"] = [{"value": s["name"], "text": s["name"], "note": s["regionName"]} for s in found]
    if step.id in ("source", "review"):
        gallery = images.list_gallery(view.database, view.tenant)
        values["from_uri"] = _FROM_URI
        values["source_choices"] = [
            *map(_choice, gallery),
            {"value": _FROM_URI, "text": "A disk image of your own", "note": "By its address, which each site reads."},
        ]
        values["gallery"] = {image["id"]: image for image in gallery}
    if step.id == "review":
        values["commands"] = _commands(view)
    return values


def _commands(view: View) -> list[str]:
    """The commands that make the same: one for each site."""
    name, version = shlex.quote(view.form.get("displayName")), shlex.quote(view.form.get("version"))
    (kind, where), *_ = _source(view).items()
    also = [f"--{kind} {shlex.quote(where)}"]
    if kind == _FROM_URI:
        also.append(f"--os-family {shlex.quote(view.form.get('osFamily'))}")
    if kind == _FROM_URI and view.form.get("sizeInGB"):
        also.append(f"--size {shlex.quote(view.form.get('sizeInGB'))}")
    return [
        f"deskwright image create {name} --version {version} --region {shlex.quote(region)} {' '.join(also)}"
        for region in view.form.some("regions")
    ]


def _create(view: View) -> Answer:
    own = view.form.get("source") == _FROM_URI
    made = images.create_everywhere(
        view.database,
        view.tenant,
        view.actor,
        display_name=view.form.get("displayName"),
        version=view.form.get("version"),
        source=_source(view),
        os_family=view.form.get("osFamily") if own else "",
        size_in_gb=view.form.whole("sizeInGB") if own else None,
        regions=view.form.some("regions"),
        confirmed=view.confirmed,
    )
    return Went(view.to("images", str(made)), f"{view.form.get('displayName')} is being built.")


_WIZARD = Wizard(
    (
        Step("name", "Name", ("displayName",), {"displayName": check_name}),
        Step("sites", "Sites", ("regions",), {"regions": check_sites}),
        Step("version", "Version", ("version",), {"version": check_new_version}),
        Step(
            "source",
            "Source image",
            ("source", "sourceUri", "osFamily", "sizeInGB"),
            {"source": check_source, "sourceUri": check_uri, "osFamily": check_family, "sizeInGB": check_size},
        ),
        Step("review", "Review and create", ()),
    ),
    "admin/image_new.html",
    _more,
    _create,
)


@page(_PATH, Needs.ADMINISTRATOR)
def begin(view: View) -> Answer:
    return _WIZARD.shown(view)


@action(_PATH)
def go(view: View) -> Answer:
    return _WIZARD.go(view)


@action(f"{_PATH}/check")
def check(view: View) -> Answer:
    return _WIZARD.check(view)
