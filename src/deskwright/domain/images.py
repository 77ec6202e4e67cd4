"""Images: the gallery as a table, how long each is supported, and how versions are written.

An id follows the Graph API's ``publisher_offer_sku``; those of the Debian images are Deskwright's own. The
Windows ones exist in the simulator only: their support dates are Microsoft's, their bits are not here.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from deskwright.domain.rules import Refused

Support = Literal["supported", "supportedWithWarning", "notSupported"]

# The three numbers of a version are 32-bit integers where images are registered with a cloud.
LARGEST_NUMBER = 2**31 - 1
_NUMBER = r"(0|[1-9][0-9]*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


@dataclass(frozen=True)
class GalleryImage:
    id: str
    display_name: str
    publisher: str
    offer: str
    sku: str
    os_family: Literal["windows", "linux"]
    disk_gb: int
    """The smallest disk it fits on."""
    start_date: date
    end_date: date
    """The last day of its operating system's support."""
    expiration_date: date
    """The last day on which it can be provisioned: six months later."""
    recommended: bool = False

    def status_on(self, day: date) -> Support:
        """Graph's cloudPcGalleryImageStatus on that day."""
        if day <= self.end_date:
            return "supported"
        return "supportedWithWarning" if day <= self.expiration_date else "notSupported"


def six_months_after(day: date) -> date:
    """The same day six months later, or that month's last."""
    year, month = (day.year, day.month + 6) if day.month <= 6 else (day.year + 1, day.month - 6)
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _debian(variant: str, title: str, disk_gb: int, recommended: bool = False) -> GalleryImage:
    # Debian 12's life ends with its long-term support.
    start, end = date(2023, 6, 10), date(2028, 6, 30)
    return GalleryImage(
        id=f"debian-12-{variant}",
        display_name=title,
        publisher="debian",
        offer="debian-12",
        sku=variant,
        os_family="linux",
        disk_gb=disk_gb,
        start_date=start,
        end_date=end,
        expiration_date=six_months_after(end),
        recommended=recommended,
    )


def _windows(version: str, start: date, end: date, *, apps: bool, recommended: bool = False) -> GalleryImage:
    publisher, offer = "microsoftwindowsdesktop", "windows-ent-cpc"
    sku = f"win11-{version.lower()}-ent-cpc" + ("-m365" if apps else "")
    return GalleryImage(
        id=f"{publisher}_{offer}_{sku}",
        display_name=f"Windows 11 Enterprise {'+ Microsoft 365 Apps ' if apps else ''}{version}",
        publisher=publisher,
        offer=offer,
        sku=sku,
        os_family="windows",
        disk_gb=64,
        start_date=start,
        end_date=end,
        expiration_date=six_months_after(end),
        recommended=recommended,
    )


GALLERY: dict[str, GalleryImage] = {
    image.id: image
    for image in (
        _debian("desktop", "Debian 12 desktop", 16, recommended=True),
        _debian("server", "Debian 12 server (minimal)", 4),
        _debian("tiny", "Debian 12 tiny (for trying things out)", 2),
        _windows("25H2", date(2025, 9, 30), date(2028, 10, 10), apps=False),
        _windows("25H2", date(2025, 9, 30), date(2028, 10, 10), apps=True, recommended=True),
        _windows("24H2", date(2024, 10, 1), date(2027, 10, 12), apps=False),
        _windows("24H2", date(2024, 10, 1), date(2027, 10, 12), apps=True),
        _windows("23H2", date(2023, 10, 31), date(2026, 11, 10), apps=False),
        _windows("23H2", date(2023, 10, 31), date(2026, 11, 10), apps=True),
        _windows("22H2", date(2022, 9, 20), date(2025, 10, 14), apps=False),
    )
}


_BY_PARTS = {f"{image.publisher}_{image.offer}_{image.sku}": image for image in GALLERY.values()}
"""The images by Graph's form of an id, which the Debian ones do not have."""


def gallery_image(image_id: str) -> GalleryImage:
    """The gallery image with that id, or Refused listing the ids there are.

    Upper and lower case are one: public scripts write both ``24h2`` and ``24H2``.
    """
    found = GALLERY.get(image_id.lower()) or _BY_PARTS.get(image_id.lower())
    if found is None:
        raise Refused("image", image_id, f"must be one of the gallery's: {', '.join(GALLERY)}")
    return found


def check_version(version: str) -> str:
    """Return the version of a device image, or raise Refused: three whole numbers, ``1.2.0``."""
    found = _VERSION.fullmatch(version)
    if not found or any(int(n) > LARGEST_NUMBER for n in found.groups()):
        raise Refused("version", version, f"must be three whole numbers of at most {LARGEST_NUMBER}, such as 1.2.0")
    return version
