"""What tests of device images do with a company, and look at on its host."""

from pathlib import Path

from deskwright.domain.image_errors import IMAGE_ERRORS
from deskwright.operations import images
from deskwright.operations.named import Item
from deskwright.providers.libvirt import volumes
from deskwright.providers.libvirt.host import connect, found
from tests.libvirt.real_company import RealCompany

SECONDS = 240.0
"""Far above what is measured (a conversion and an emulated start): the machine of the tests may be busy."""


def pool(firm: RealCompany) -> set[str]:
    """The files of images on the host."""
    there = found(connect(firm.host.uri).storagePoolLookupByName, volumes.IMAGES)
    return {name for name, _ in volumes.each(there)} if there is not None else set()


def created(firm: RealCompany, name: str, **source: str) -> str:
    made = images.create(
        firm.world.database,
        firm.tenant,
        "test",
        display_name=name,
        version="1.0.0",
        region="site-a",
        source=source,
    )
    return str(made["id"])


def shown(firm: RealCompany, image: str) -> Item:
    return images.show(firm.world.database, firm.tenant, image)


def made(firm: RealCompany, image: str) -> tuple[Item, list[tuple[float, str]]]:
    """The image when it is ready or has failed, and what people were told meanwhile."""
    told: list[tuple[float, str]] = []

    def ended() -> bool:
        item = shown(firm, image)
        now = (item["progressShare"] or 0.0, item["progressText"] or "")
        if item["status"] == "pending" and now not in told:
            told.append(now)
        return bool(item["status"] != "pending")

    firm.carry_on(ended, SECONDS)
    return shown(firm, image), told


def until_told(firm: RealCompany, image: str, words: str) -> None:
    firm.carry_on(lambda: words in (shown(firm, image)["progressText"] or ""), SECONDS)


def nothing_of(firm: RealCompany, image: str, cache: Path) -> None:
    assert [name for name in pool(firm) if image in name] == []
    assert [path.name for path in cache.iterdir() if image in path.name] == []
    assert [machine.name() for machine in connect(firm.host.uri).listAllDomains() if image in machine.name()] == []


def refused(firm: RealCompany, image: str, cache: Path) -> tuple[str, str]:
    """Carry on until the image has failed, with nothing left of it: (code, what was seen)."""
    item, _ = made(firm, image)
    assert item["status"] == "failed"
    assert item["errorCode"] in IMAGE_ERRORS, "Graph's, each with cause and remedy on the page"
    assert (item["seen"], item["checksum"], item["progressText"]) == (None, None, None)
    nothing_of(firm, image, cache)
    print(item["errorCode"], item["errorDetail"])
    return item["errorCode"], item["errorDetail"]
