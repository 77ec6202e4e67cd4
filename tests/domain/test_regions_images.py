"""Region groups, gallery images and image versions."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwright.domain.images import (
    GALLERY,
    GalleryImage,
    check_version,
    gallery_image,
    six_months_after,
)
from deskwright.domain.regions import REGION_GROUPS, check_region_group, default_sites
from deskwright.domain.rules import Refused

# cloudPcRegionGroup of v1.0 and beta, without default, automatic and unknownFutureValue, which are no places.
GRAPH_REGION_GROUPS = [
    "australia",
    "canada",
    "usCentral",
    "usEast",
    "usWest",
    "france",
    "germany",
    "europeUnion",
    "unitedKingdom",
    "japan",
    "asia",
    "india",
    "southAmerica",
    "euap",
    "usGovernment",
    "usGovernmentDOD",
    "norway",
    "switzerland",
    "southKorea",
    "middleEast",
    "mexico",
    "australasia",
    "europe",
    "singapore",
    "hongKong",
    "ireland",
    "sweden",
    "poland",
    "italy",
    "spain",
    "netherlands",
    "brazil",
    "israel",
    "indonesia",
    "taiwan",
    "malaysia",
    "newZealand",
    "austria",
    "denmark",
    "belgium",
    "kenya",
]


def test_every_documented_region_group_is_there() -> None:
    assert set(REGION_GROUPS) == set(GRAPH_REGION_GROUPS)


def test_a_region_belongs_to_one_group() -> None:
    regions = [r for group in REGION_GROUPS.values() for r in group.regions]
    assert len(regions) == len(set(regions))
    assert all(group.regions for group in REGION_GROUPS.values())


def test_a_known_region_group_is_returned() -> None:
    assert check_region_group("europeUnion") == "europeUnion"


@pytest.mark.parametrize("value", ["", "atlantis", "EuropeUnion", "default", "automatic", "unknownFutureValue"])
def test_an_unknown_region_group_is_refused(value: str) -> None:
    with pytest.raises(Refused) as refused:
        check_region_group(value)
    assert (refused.value.field, refused.value.value) == ("regionGroup", value)
    assert refused.value.code == "regionNotSupported"
    assert "europeUnion" in refused.value.rule


def test_default_sites_are_one_per_region_group() -> None:
    sites = default_sites()
    assert [group for _, _, group in sites] == list(REGION_GROUPS)
    assert len({name for name, _, _ in sites}) == len(sites)
    assert all(region in REGION_GROUPS[group].regions for _, region, group in sites)


def test_the_simulator_offers_the_documented_image() -> None:
    assert gallery_image("debian-12-desktop").os_family == "linux"
    assert {i.os_family for i in GALLERY.values()} == {"linux", "windows"}


@pytest.mark.parametrize("image", GALLERY.values(), ids=lambda i: i.id)
def test_gallery_image_is_coherent(image: GalleryImage) -> None:
    assert image.id == image.id.lower()
    assert image.start_date < image.end_date < image.expiration_date
    assert image.expiration_date == six_months_after(image.end_date)
    assert image.status_on(image.end_date) == "supported"
    assert image.status_on(image.expiration_date) == "supportedWithWarning"
    assert image.status_on(date(2099, 1, 1)) == "notSupported"
    assert 0 < image.disk_gb <= 64, "fits on the smallest service plan"
    if image.os_family == "windows":
        assert image.id == f"{image.publisher}_{image.offer}_{image.sku}"


def test_ids_may_be_written_in_either_case() -> None:
    shouted = "microsoftwindowsdesktop_windows-ent-cpc_win11-24H2-ent-cpc-m365"
    assert gallery_image(shouted).display_name == "Windows 11 Enterprise + Microsoft 365 Apps 24H2"


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refused) as refused:
        gallery_image("debian-99")
    assert (refused.value.field, refused.value.value) == ("image", "debian-99")
    assert all(known in refused.value.rule for known in GALLERY)


def test_six_months_after_the_end_of_august_is_the_end_of_february() -> None:
    assert six_months_after(date(2027, 8, 31)) == date(2028, 2, 29)
    assert six_months_after(date(2028, 6, 30)) == date(2028, 12, 30)


@given(st.dates(max_value=date(9000, 1, 1)))
def test_six_months_after_is_six_calendar_months(day: date) -> None:
    later = six_months_after(day)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == 6
    assert later.day <= day.day


@given(st.tuples(*[st.integers(0, 2**31 - 1)] * 3))
def test_three_whole_numbers_are_a_version(numbers: tuple[int, int, int]) -> None:
    version = ".".join(map(str, numbers))
    assert check_version(version) == version


@pytest.mark.parametrize(
    "version",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "1.2.x",
        "v1.2.3",
        "1.-2.3",
        " 1.2.3",
        "1.2.3\n",
        "01.2.3",
        "1.2.2147483648",
        "١.٢.٣",
    ],
)
def test_anything_else_is_refused(version: str) -> None:
    with pytest.raises(Refused, match="three whole numbers"):
        check_version(version)
