"""Real machines for tests: a libvirt host of this test process's own, and the smallest image, built once."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deskwright.images import process
from deskwright.providers.contract import NotYet
from deskwright.providers.libvirt.sandbox import Sandbox, sandbox
from deskwright.providers.registry import providers_for
from deskwright.store.database import Database
from tests.company import Company
from tests.conftest import Tenant
from tests.providers.conformance import Outside

if TYPE_CHECKING:
    from tests.libvirt.real_company import RealCompany
    from tests.libvirt.session import Session

IMAGE = "debian-12-tiny"
_BUILD_SECONDS = 900.0


@pytest.fixture(scope="session")
def image_cache() -> Path:
    """A folder of images with the smallest one in it, shared by all test processes."""
    kept = Path(os.environ.get("DESKWRIGHT_IMAGE_CACHE") or Path(tempfile.gettempdir()) / "deskwright-test-images")
    ends = time.monotonic() + _BUILD_SECONDS
    while (progress := process.look(kept / IMAGE)).finished is None:
        assert progress.failed is None, progress.failed
        assert time.monotonic() < ends, f"the image is still being built: {progress}"
        process.start(IMAGE, kept / IMAGE)
        time.sleep(0.2)
    return kept


@pytest.fixture(scope="session")
def host() -> Iterator[Sandbox]:
    directory = Path(tempfile.mkdtemp(prefix="dwl"))
    try:
        with sandbox(directory) as started:
            yield started
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def images(image_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where providers find the images."""
    monkeypatch.setenv("DESKWRIGHT_IMAGE_DIR", str(image_cache))
    return image_cache


def configuration(host: "Sandbox | Session", **more: Any) -> dict[str, Any]:
    """A site's compute configuration. Nothing here may depend on whether KVM happens to work."""
    generous = {"vCpuCount": 200, "ramInGB": 100, "storageInGB": 200}
    given = {"kind": "libvirt", "uri": host.uri, "directory": host.disks, "acceleration": "qemu"}
    return {**given, "overcommit": generous, **more}


@pytest.fixture
def firm(host: Sandbox, company: Company, images: Path) -> "Iterator[RealCompany]":
    """A company whose Cloud PCs are real machines."""
    from tests.libvirt.real_company import on_host

    with on_host(company, host) as real:
        yield real


def wait_for(later: NotYet, now: Any) -> None:
    """What a real provider says to wait for is waited for."""
    time.sleep(max(0.0, min(1.0, (later.until - now()).total_seconds())))


def outside_on(database: Database, tenant: Tenant, host: "Sandbox | Session", **more: Any) -> Outside:
    site = replace(
        tenant.site, compute=configuration(host, **more), directory={"kind": "builtin"}, management={"kind": "builtin"}
    )
    providers = providers_for(database, site)
    now = providers.compute._records.now  # type: ignore[attr-defined]
    return Outside(
        providers,
        tenant.id,
        tenant.site_id,
        lambda later: wait_for(later, now),
        os_family="linux",
        image=IMAGE,
        patience=150,
    )


# --- device images -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def bootable(image_cache: Path) -> Path:
    from tests.libvirt import disks

    return disks.bootable(image_cache)


@pytest.fixture
def own_cache(image_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's images are made, with what is kept for all of them."""
    directory = tmp_path / "images"
    directory.mkdir()
    for kept in ("cache", IMAGE):
        (directory / kept).symlink_to(image_cache / kept)
    monkeypatch.setenv("DESKWRIGHT_IMAGE_DIR", str(directory))
    return directory


@pytest.fixture
def imports(firm: "RealCompany", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The firm's own: beside it would be other tenants'."""
    directory = tmp_path / "imports"
    own = directory / str(firm.tenant.id)
    own.mkdir(parents=True)
    monkeypatch.setenv("DESKWRIGHT_IMPORT_DIR", str(directory))
    return own


@pytest.fixture
def here(firm: "RealCompany", own_cache: Path, imports: Path) -> Iterator["RealCompany"]:
    """A company with a site on the host; of its images nothing stays there."""
    from tests.libvirt.device_images import pool

    before = pool(firm)
    firm.settle_in()
    yield firm
    for (image,) in firm.sql("SELECT id FROM device_images WHERE tenant_id = :tenant"):
        for providers in firm.providers():
            providers.compute.remove_image(image)
    assert {name for name in pool(firm) - before if not name.startswith(IMAGE)} == set()
