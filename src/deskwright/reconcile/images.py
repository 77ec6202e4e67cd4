"""Device images on their way from pending to ready: the site's compute provider brings and tries them."""

import logging
from typing import Any
from uuid import UUID

from sqlalchemy import text

from deskwright.domain.rules import Refused
from deskwright.errors import explain
from deskwright.providers.contract import Compute, ImageOrder, ImageReady, NotYet, ProviderError
from deskwright.providers.registry import providers_for
from deskwright.provision.sites import load_site
from deskwright.store.database import Database

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60.0
"""After something that is no fault of the image (real time)."""

_ROW = text(
    """
    SELECT id, site_id, display_name, version, source, os_family, disk_gb, modified_at FROM device_images
     WHERE id = :id AND status = 'pending'
    """
)
_WAITS = text(
    """
    UPDATE device_images SET next_step_at = coalesce(:until, tenant_now(tenant_id) + make_interval(secs => :seconds)),
           progress_share = :share, progress_text = :reason
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
_NOTHING = {"code": None, "detail": None, "size_gb": None, "seen": None, "checksum": None}


def build_image(database: Database, image: UUID) -> None:
    """Go on with a pending image: it is ready or failed afterwards, or looked at again when its provider says so."""
    with database.single.connect() as connection:
        row = connection.execute(_ROW, {"id": image}).one_or_none()
    if row is None:
        return None
    named = f"{row.display_name} {row.version}"
    order = ImageOrder(row.id, named, row.source, row.os_family, row.modified_at)
    ended: dict[str, Any] = {**_NOTHING, "id": image}
    try:
        ready = _prepare(database, row.site_id, order)
    except NotYet as later:
        return _wait(database, image, later.reason, until=later.until, share=later.share)
    except ProviderError as failed:
        known = {"image": named, **failed.values}
        detail = explain(failed.code, known).message if failed.values else None
        ended |= {"status": "failed", "code": failed.code, "detail": detail}
    except Refused as unfit:
        return _wait(database, image, str(unfit))
    except Exception as unexpected:
        log.exception("image %s", image)
        return _wait(database, image, f"{type(unexpected).__name__}: {unexpected}"[:300])
    else:
        ended |= {"status": "ready", "size_gb": ready.size_gb, "seen": ready.seen or None}
        ended["checksum"] = ready.checksum or None
    with database.begin() as connection:
        connection.execute(_ENDED, ended)
    return None


def _prepare(database: Database, site: UUID, order: ImageOrder) -> ImageReady:
    compute: Compute = providers_for(database, load_site(database, site)).compute
    return compute.prepare_image(order)


def _wait(database: Database, image: UUID, reason: str, *, until: Any = None, share: float | None = None) -> None:
    values = {"id": image, "until": until, "seconds": _AGAIN_SECONDS, "share": share, "reason": reason}
    with database.begin() as connection:
        connection.execute(_WAITS, values)
