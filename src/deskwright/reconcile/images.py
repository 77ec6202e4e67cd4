"""Device images on their way from pending to ready: the site's compute provider brings and tries them."""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from deskwright.domain.image_errors import IMAGE_ERRORS
from deskwright.domain.rules import Refused
from deskwright.errors import explain
from deskwright.images import imported
from deskwright.providers.contract import Compute, ImageOrder, ImageReady, NotYet, ProviderError
from deskwright.providers.registry import providers_for
from deskwright.provision.sites import load_site
from deskwright.settings import Settings
from deskwright.store.database import Database

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60.0
"""After something that is no fault of the image (real time)."""

_ROW = text(
    """
    SELECT id, tenant_id, site_id, display_name, version, source, os_family, disk_gb, modified_at FROM device_images
     WHERE id = :id AND status = 'pending'
    """
)
# How far it was stays known while the provider cannot be asked.
_WAITS = text(
    """
    UPDATE device_images SET next_step_at = coalesce(:until, tenant_now(tenant_id) + make_interval(secs => :seconds)),
           progress_share = coalesce(:share, progress_share), progress_text = :reason
     WHERE id = :id AND status = 'pending'
    """
)
_ENDED = text(
    """
    UPDATE device_images SET status = :status, modified_at = tenant_now(tenant_id), next_step_at = NULL,
           error_code = :code, error_detail = :detail, disk_gb = coalesce(:size_gb, disk_gb),
           seen = :seen, checksum = :checksum, progress_share = NULL, progress_text = NULL
     WHERE id = :id AND status = 'pending'
    """
)
_IS_THERE = text("SELECT EXISTS (SELECT FROM device_images WHERE id = :id)")
_WANTED = text(
    """
    SELECT EXISTS (SELECT FROM device_images
                    WHERE tenant_id = :tenant AND source ->> 'uri' = :uri AND status <> 'ready')
    """
)
_NOTHING = {"code": None, "detail": None, "size_gb": None, "seen": None, "checksum": None}


def build_image(database: Database, image: UUID) -> None:
    """Go on with a pending image: it is ready or failed afterwards, or looked at again when its provider says so."""
    with database.single.connect() as connection:
        row = connection.execute(_ROW, {"id": image}).one_or_none()
    if row is None:
        return
    named = f"{row.display_name} {row.version}"
    order = ImageOrder(row.id, named, row.source, row.os_family, row.modified_at)
    statement, values = _next(database, row.site_id, order)
    with database.begin() as connection:
        connection.execute(statement, {**values, "id": image})
        is_there = connection.execute(_IS_THERE, {"id": image}).scalar_one()
    if not is_there:  # deleted meanwhile: what has come to the site since then is nobody's
        take_away(database, row.site_id, image)
    if values.get("status") == "ready" or not is_there:
        drop_file(database, row.tenant_id, row.source)


def take_away(database: Database, site: UUID, image: UUID) -> None:
    """What a site has of a deleted image. One that cannot be reached keeps it: the image is gone all the same."""
    try:
        providers_for(database, load_site(database, site)).compute.remove_image(image)
    except Exception as failure:  # noqa: BLE001 - a provider may fail in any way
        log.warning("the files of image %s stay at site %s: %s", image, site, failure)


def drop_file(database: Database, tenant: UUID, source: Mapping[str, Any]) -> None:
    """The file that was brought for one import, unless another copy of the image still has to be made of it."""
    uri = source.get("uri")
    if uri is None:
        return
    with database.single.connect() as connection:
        if connection.execute(_WANTED, {"tenant": tenant, "uri": uri}).scalar_one():
            return
    imported.drop(uri, Settings().imports_of(tenant))


def _next(database: Database, site: UUID, order: ImageOrder) -> tuple[TextClause, dict[str, Any]]:
    """How the image's row is to be changed."""
    try:
        ready = _prepare(database, site, order)
    except NotYet as later:
        return _waits(later.reason, until=later.until, share=later.share)
    except ProviderError as failed:
        return _ENDED, {**_NOTHING, "status": "failed", "code": failed.code, "detail": _detail(order, failed)}
    except Refused as unfit:
        return _waits(str(unfit))
    except Exception as unexpected:
        log.exception("image %s", order.id)
        return _waits(f"{type(unexpected).__name__}: {unexpected}"[:300])
    seen = {"size_gb": ready.size_gb, "seen": ready.seen or None, "checksum": ready.checksum or None}
    return _ENDED, {**_NOTHING, "status": "ready", **seen}


def _detail(order: ImageOrder, failed: ProviderError) -> str | None:
    """What was seen. An image's own errors are explained where they are shown; others here."""
    if failed.code in IMAGE_ERRORS:
        return failed.values.get("reason")
    # The provider may know it by another name than people do.
    return explain(failed.code, {**failed.values, "image": order.name}).message if failed.values else None


def _prepare(database: Database, site: UUID, order: ImageOrder) -> ImageReady:
    compute: Compute = providers_for(database, load_site(database, site)).compute
    return compute.prepare_image(order)


def _waits(reason: str, *, until: Any = None, share: float | None = None) -> tuple[TextClause, dict[str, Any]]:
    return _WAITS, {"until": until, "seconds": _AGAIN_SECONDS, "share": share, "reason": reason}
