"""Device images on their way from pending to ready. On a simulated site the build takes its time and succeeds, unless a
fault of step ``image`` says otherwise; building and validating real images is the compute provider's work."""

from uuid import UUID

from sqlalchemy import text

from deskwright.store.database import Database

_BUILD_SECONDS = 20 * 60.0

_ROW = text(
    """
    SELECT i.id, i.next_step_at, i.created_at, i.status, tenant_now(t.id) AS now, t.speed,
           (SELECT f.code FROM faults f WHERE f.tenant_id = t.id AND f.step = 'image' ORDER BY f.id LIMIT 1) AS fault
      FROM device_images i JOIN tenants t ON t.id = i.tenant_id
     WHERE i.id = :id AND i.status = 'pending' FOR UPDATE OF i
    """
)


def build_image(database: Database, image: UUID) -> None:
    """Look at a pending image: finished, failed, or to be looked at again when its build is due to end."""
    with database.begin() as connection:
        row = connection.execute(_ROW, {"id": image}).one_or_none()
        if row is None:
            return
        values = {"id": image, "seconds": _BUILD_SECONDS / row.speed, "fault": row.fault}
        connection.execute(
            text(
                """
                UPDATE device_images i SET
                  status = CASE WHEN p.pending THEN 'pending'
                                WHEN CAST(:fault AS text) IS NULL THEN 'ready' ELSE 'failed' END,
                  modified_at = CASE WHEN p.pending THEN i.modified_at ELSE tenant_now(i.tenant_id) END,
                  error_code = CASE WHEN p.pending THEN NULL ELSE CAST(:fault AS text) END,
                  next_step_at = CASE WHEN p.pending THEN i.modified_at + make_interval(secs => :seconds) END
                  FROM (SELECT modified_at + make_interval(secs => :seconds) > tenant_now(tenant_id) AS pending
                          FROM device_images WHERE id = :id) p WHERE i.id = :id
                """
            ),
            values,
        )
