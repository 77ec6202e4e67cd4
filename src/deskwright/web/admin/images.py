"""Images: what the gallery offers and until when, and the tenant's own with their copies at the sites."""

import shlex
from typing import Any

from deskwright.domain.image_errors import ImageError, image_error
from deskwright.operations import image_view, images, sites
from deskwright.operations.images import IMAGE
from deskwright.operations.named import Item, as_id, cursor
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.words import IMAGES, Word

_PAGE = 50
# By its dates: an image is usable for half a year after its operating system's support has ended.
SUPPORT = {**IMAGES, "supportedWithWarning": Word("Support ended, still usable", "warn")}
_PATH = "/admin/{tenant}/images"
_ONE = f"{_PATH}/{{image}}"


@page(_PATH)
def list_(view: View) -> Answer:
    wanted, after = view.asked("q"), view.asked("after")
    own = image_view.list_(view.database, view.tenant, wanted, after or None, _PAGE)
    about: dict[str, Any] = {
        "images": own,
        "support": SUPPORT,
        "building": any(image["status"] == "pending" for image in own),
        "wanted": wanted,
        "after": after,
        "following": cursor(IMAGE, own[-1]) if len(own) == _PAGE else None,
    }
    if view.fragment:
        return show("admin/images.html", "results", **about)
    users = image_view.list_gallery_uses(view.database, view.tenant)
    gallery = [
        {**image, "provisioningPolicies": users.get(image["id"], [])}
        for image in images.list_gallery(view.database, view.tenant)
    ]
    return show("admin/images.html", **about, gallery=gallery)


@page(_ONE)
def one(view: View) -> Answer:
    found = _shown(view)
    if view.fragment:
        return show("admin/image.html", "copies", **_copies(found))
    there = {copy["region"] for copy in found["copies"]}
    missing = [s["name"] for s in sites.list_(view.database, view.tenant, limit=1000) if s["name"] not in there]
    return show("admin/image.html", **_copies(found), missing=[(name, name) for name in missing])


@action(f"{_ONE}/again")
def build_again(view: View) -> Answer:
    """The copies that failed."""
    found = _shown(view)
    image = _id(view)
    images.upload_again(view.database, view.tenant, view.actor, image, everywhere=False, confirmed=view.confirmed)
    return Went(view.to("images", found["id"]), "What failed is being built again.")


@action(f"{_ONE}/sites", shown_by=one)
def add_to_site(view: View) -> Answer:
    """A copy at one more site, from the same source."""
    found = _shown(view)
    made = images.create(
        view.database,
        view.tenant,
        view.actor,
        display_name=found["displayName"],
        version=found["version"],
        region=view.form.get("region"),
        source=found["source"],
        operating_system=found["operatingSystem"],
        os_family=found["osFamily"],
        size_in_gb=found["sizeInGB"],
        confirmed=view.confirmed,
    )
    return Went(view.to("images", found["id"]), f"It is being built at {made['region']}.")


@action(f"{_ONE}/rename", shown_by=one)
def rename(view: View) -> Answer:
    found = _shown(view)
    images.rename(
        view.database, view.tenant, view.actor, _id(view), view.form.get("displayName"), confirmed=view.confirmed
    )
    return Went(view.to("images", found["id"]), "Renamed.")


@action(f"{_ONE}/copies/{{copy}}/delete")
def delete_copy(view: View) -> Answer:
    found = _shown(view)
    gone = images.delete(view.database, view.tenant, view.actor, view.path["copy"], confirmed=view.confirmed)
    last = len(found["copies"]) == 1
    return Went(
        view.to("images") if last else view.to("images", found["id"]),
        f"{gone['displayName']} {gone['version']} is deleted{'' if last else ' at that site'}.",
    )


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    found = _shown(view)
    return show("admin/image_delete.html", image=found, quoted=shlex.quote(found["displayName"]))


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    found = _shown(view)
    images.delete_everywhere(view.database, view.tenant, view.actor, _id(view), confirmed=view.confirmed)
    return Went(view.to("images"), f"{found['displayName']} {found['version']} is deleted.")


def _id(view: View) -> Any:
    """The image's id. Raises NotFound."""
    found = as_id(view.path["image"])
    if found is None:
        raise IMAGE.missing(view.path["image"])
    return found


def _shown(view: View) -> Item:
    return image_view.show(view.database, view.tenant, _id(view))


def _copies(image: Item) -> dict[str, Any]:
    """What the part of the page shows that renews itself."""
    return {
        "image": image,
        "building": any(copy["status"] == "pending" for copy in image["copies"]),
        "failures": _failures(image),
        "quoted": shlex.quote(image["displayName"]),
    }


def _failures(image: Item) -> list[tuple[ImageError, list[str]]]:
    """Each error once, with the sites where it happened."""
    found: dict[str, list[str]] = {}
    for copy in image["copies"]:
        if copy["status"] == "failed":
            found.setdefault(copy["errorCode"] or "internalServerError", []).append(copy["region"])
    return [(image_error(code), where) for code, where in found.items()]
