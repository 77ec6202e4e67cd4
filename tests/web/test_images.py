"""Images in the admin center."""

import re
from uuid import UUID

import pytest

from deskwright.domain.image_errors import IMAGE_ERRORS, image_error
from deskwright.domain.images import GALLERY
from deskwright.operations import image_view, images, policies
from deskwright.operations.faults import IMAGE_CODES
from tests.company import Company, found
from tests.web.carried import go, now
from tests.web.conftest import Browser, Page, as_person

NEW = "images/new"
SOURCE = "debian-12-desktop"


def own(
    company: Company, name: str = "Finance", version: str = "1.0.0", regions: tuple[str, ...] = ("site-a",)
) -> UUID:
    """An image of the tenant's own at sites that there are."""
    return images.create_everywhere(
        company.world.database,
        company.tenant,
        "test",
        display_name=name,
        version=version,
        source={"gallery": SOURCE},
        regions=regions,
    )


def to_version(pages: Browser, name: str = "Finance", regions: tuple[str, ...] = ("site-a",)) -> Page:
    page = go(pages, NEW, pages.get(NEW), {"displayName": name})
    return go(pages, NEW, page, {"regions": list(regions)})


def statuses(company: Company) -> dict[str, str]:
    return dict(
        company.sql(
            "SELECT s.name, i.status FROM device_images i JOIN sites s ON s.id = i.site_id WHERE i.tenant_id = :tenant"
        )
    )


# --- the wizard -------------------------------------------------------------------------------------


def test_the_wizard_leads_to_an_image_that_is_built_where_it_is_wanted(pages: Browser, company: Company) -> None:
    """SPEC section 6: name, site, version, source image, review and create."""
    for site in ("site-a", "site-b", "site-c"):
        company.site(site)
    page = pages.get(NEW)
    assert now(page) == "Name"
    for fields, title in (
        ({"displayName": "Finance"}, "Sites"),
        ({"regions": ["site-a", "site-c"]}, "Version"),
        ({"version": "1.0.0"}, "Source image"),
        ({"source": SOURCE}, "Review and create"),
    ):
        page = go(pages, NEW, page, fields)  # type: ignore[arg-type]
        assert now(page) == title
    assert "It is built at 2 sites" in page.words
    assert f"deskwright image create Finance --version 1.0.0 --region site-c --gallery {SOURCE}" in page.words
    made = go(pages, NEW, page, {}, "create")
    assert "Finance is being built" in made.words
    assert "about to begin" in made.words
    company.settle()
    assert statuses(company) == {"site-a": "ready", "site-c": "ready"}
    built = pages.get(made.url.partition("contoso.com/")[2]).words
    assert "Built and ready at site-c by deskwright" in built
    assert "Create device image at site-a by maria@contoso.com" in built


def test_a_version_that_is_there_is_refused_and_the_next_one_proposed(pages: Browser, company: Company) -> None:
    company.site()
    own(company, version="1.9.9")
    own(company, version="1.10.0")
    page = to_version(pages, "finance")
    assert page.field("version") == "1.10.1"
    taken = go(pages, NEW, page, {"version": "1.9.9"})
    assert (taken.status, now(taken)) == (422, "Version")
    assert "is there already" in taken.words
    wrong = go(pages, NEW, taken, {"version": "1.9"})
    assert "must be three whole numbers" in wrong.words


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Choose a gallery image"),
        ({"source": "microsoftwindowsdesktop_windows-ent-cpc_win11-22h2-ent-cpc"}, "is not supported any more"),
        ({"source": "uri", "sourceUri": "", "osFamily": "linux"}, "Must not be empty"),
        ({"source": "uri", "sourceUri": "https://files/x.vhdx", "osFamily": "beos"}, "must be one of: linux, windows"),
        ({"source": "uri", "sourceUri": "https://files/x.vhdx", "osFamily": "linux", "sizeInGB": "0"}, "at least 1"),
    ],
)
def test_a_source_that_cannot_be_built_from_is_refused(
    pages: Browser, company: Company, given: dict[str, str | list[str]], says: str
) -> None:
    company.site()
    page = go(pages, NEW, to_version(pages), {"version": "1.0.0"})
    again = go(pages, NEW, page, given)
    assert (again.status, now(again)) == (422, "Source image")
    assert says in again.words


def test_a_disk_image_of_ones_own_is_registered_with_its_size(pages: Browser, company: Company) -> None:
    company.site()
    page = go(pages, NEW, to_version(pages), {"version": "1.0.0"})
    disk: dict[str, str | list[str]] = {"sourceUri": "https://files/x.vhdx", "osFamily": "windows", "sizeInGB": "96"}
    review = go(pages, NEW, page, {"source": "uri", **disk})
    assert "--uri https://files/x.vhdx --os-family windows --size 96" in review.words
    go(pages, NEW, review, {}, "create")
    made = images.show(company.world.database, company.tenant, "Finance")
    assert (made["source"], made["osFamily"], made["sizeInGB"]) == ({"uri": "https://files/x.vhdx"}, "windows", 96)


def test_at_least_one_site_that_there_is_must_be_chosen(pages: Browser, company: Company) -> None:
    company.site()
    page = go(pages, NEW, pages.get(NEW), {"displayName": "Finance"})
    assert "Choose at least one site" in go(pages, NEW, page, {}).words
    assert "no site of that name" in go(pages, NEW, page, {"regions": ["moon"]}).words


# --- building ---------------------------------------------------------------------------------------


def test_progress_goes_by_the_time_of_the_build(pages: Browser, company: Company) -> None:
    company.site()
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    image = own(company)
    company.settle()
    company.advance(minutes=5)
    part = pages.fragment(f"images/{image}")
    assert part.text.lstrip().startswith('<div id="copies"')
    assert re.search(r"25 %, ready in 1[45] min", part.words)
    assert 'hx-trigger="every 1s"' in part.text
    assert 'value="25"' in pages.get("images").text
    company.advance(minutes=16)
    done = pages.fragment(f"images/{image}")
    assert "Ready" in done.words
    assert "every 1s" not in done.text


def test_a_build_that_failed_says_why_and_is_built_again(pages: Browser, company: Company) -> None:
    """SPEC section 3: cause and remedy. Only what failed is built again, and no site is added."""
    company.site("site-a")
    image = own(company)
    company.settle()
    company.site("site-b")
    company.site("site-c")
    company.fault("image", "sourceImageNotGeneralized")
    added = pages.post(f"images/{image}/sites", {"region": "site-b"})
    assert "It is being built at site-b" in added.words
    company.settle()
    page = pages.get(f"images/{image}")
    error = IMAGE_ERRORS["sourceImageNotGeneralized"]
    for said in (error.title, error.cause, *error.remedies, error.code):
        assert said in page.words
    assert "Build failed at site-b: sourceImageNotGeneralized" in page.words
    company.clear_faults()
    assert "being built again" in pages.post(f"images/{image}/again").words
    assert statuses(company) == {"site-a": "ready", "site-b": "pending"}
    company.settle()
    assert statuses(company) == {"site-a": "ready", "site-b": "ready"}
    assert "only one that failed" in pages.post(f"images/{image}/again").words


def test_what_a_real_provider_is_doing_and_what_its_trial_saw(pages: Browser, company: Company) -> None:
    """Section 6: as far as the provider says it is, what it does, and at the end what was seen."""
    company.site("site-a")
    image = own(company)

    def is_so(values: str, **given: object) -> str:
        company.sql(f"UPDATE device_images SET {values} WHERE tenant_id = :tenant", **given)
        return pages.fragment(f"images/{image}").words

    doing = "Finance 1.0.0 is being made: 42%, converting <the disk>"
    later = "next_step_at = tenant_now(tenant_id) + interval '2 s'"
    told = is_so(f"progress_share = 0.336, progress_text = :doing, {later}", doing=doing)
    assert f"34 %, {doing}" in told
    assert "ready in" not in told, "a provider's next look is not the end"
    assert 'value="34"' in pages.get("images").text

    seen = "started by QEMU (BIOS), its guest agent answered after 12 s, generalised, 2 GB of disk"
    ended = "next_step_at = NULL, progress_share = NULL, progress_text = NULL"
    told = is_so(f"status = 'ready', seen = :seen, checksum = :sum, disk_gb = 2, {ended}", seen=seen, sum="ab" * 32)
    assert seen in told
    assert f"sha256 {'ab' * 32}" in told

    reason = "it is not generalised: /etc/machine-id came with the image"
    failed = "status = 'failed', error_code = 'sourceImageNotGeneralized', error_detail = :reason"
    told = is_so(f"{failed}, seen = NULL, checksum = NULL", reason=reason)
    assert reason in told
    assert IMAGE_ERRORS["sourceImageNotGeneralized"].remedies[0] in told
    assert seen not in told


def test_every_error_of_a_build_has_cause_and_remedy() -> None:
    """SPEC section 3: one list for the pages and for what the simulator can be told to do."""
    assert set(IMAGE_ERRORS) == set(IMAGE_CODES)
    assert all(e.cause and e.remedies for e in IMAGE_ERRORS.values())
    assert "somethingNew" in image_error("somethingNew").title


# --- what uses it -----------------------------------------------------------------------------------


def test_e9_an_image_in_use_is_neither_deleted_nor_renamed(pages: Browser, company: Company) -> None:
    """E9"""
    company.basics("adele")
    image = own(company)
    company.settle()
    policies.set_(company.world.database, company.tenant, "test", "Desktops", device_image="Finance")
    asked = pages.get(f"images/{image}/delete")
    assert pages.at("policies") + "/Desktops" in asked.links()
    refused = pages.post(f"images/{image}/delete")
    assert refused.status == 422
    assert "can be deleted only while nothing uses it: policy Desktops" in refused.words
    kept = pages.post(f"images/{image}/rename", {"displayName": "Money"})
    assert (kept.status, kept.field("displayName")) == (422, "Money")
    assert "can be renamed only while nothing uses it" in kept.words
    assert "Desktops" in pages.get("images").words
    policies.set_(company.world.database, company.tenant, "test", "Desktops", gallery_image=SOURCE)
    assert "Renamed" in pages.post(f"images/{image}/rename", {"displayName": "Money"}).words
    assert "Money 1.0.0 is deleted" in pages.post(f"images/{image}/delete").words


def test_a_copy_is_removed_and_the_others_stay(pages: Browser, company: Company) -> None:
    company.site("site-a")
    company.site("site-b")
    image = own(company, regions=("site-a", "site-b"))
    shown = image_view.show(company.world.database, company.tenant, image)
    copy = next(c["id"] for c in shown["copies"] if c["region"] == "site-a")
    gone = pages.post(f"images/{image}/copies/{copy}/delete")
    assert "deleted at that site" in gone.words
    assert list(statuses(company)) == ["site-b"]


# --- lists ------------------------------------------------------------------------------------------


def test_the_gallery_tells_support_by_its_dates(pages: Browser, company: Company) -> None:
    """SPEC section 5: supported, then usable for half a year, then not."""
    company.basics()
    gallery = GALLERY[SOURCE]
    ((today,),) = company.sql("SELECT tenant_now(:tenant)")
    supported = pages.get("images").words
    assert f"Supported until {gallery.end_date}" in supported
    company.advance(days=(gallery.end_date - today.date()).days + 1)
    ended = pages.get("images").words
    assert f"Support ended, still usable ended {gallery.end_date}, usable until {gallery.expiration_date}" in ended
    assert "Desktops" in ended
    company.advance(days=200)
    assert f"Not supported ended {gallery.end_date}" in pages.get("images").words


def test_the_list_is_searched_and_goes_on(pages: Browser, company: Company) -> None:
    company.site("site-a")
    company.site("site-b")
    for number in range(51):
        own(company, f"Image {number:02}", regions=("site-a", "site-b"))
    first = pages.get("images")
    assert "Image 49" in first.words
    assert "Image 50" not in first.words
    (following,) = [u for u in first.links() if "after=" in u]
    assert "Image 50" in pages.get(following).words
    narrowed = pages.fragment("images?q=E%2042")
    assert "Image 42" in narrowed.words
    assert "Image 41" not in narrowed.words
    assert "No image is called that" in pages.get("images?q=nothing").words


def test_a_reader_looks_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.site()
    image = own(company, "<b>Finance</b>")
    rita = as_person(pages, company, "rita")
    page = rita.get(f"images/{image}")
    assert "<b>Finance" not in page.text
    assert "Rename" not in page.words
    assert rita.get(NEW).status == 403
    assert rita.post(f"images/{image}/delete").status == 403


def test_an_image_of_another_tenant_is_not_there(pages: Browser, company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.site()
    image = own(other)
    assert pages.get(f"images/{image}").status == 404
    copy = image_view.show(other.world.database, other.tenant, image)["copies"][0]["id"]
    assert pages.post(f"images/{image}/copies/{copy}/delete").status == 404
    assert statuses(other) == {"site-a": "pending"}
