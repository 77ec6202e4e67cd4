"""deviceImages: the tenant's own images. To the API an image is one, whatever number of sites hold a copy of it.

`sourceImageResourceId` is a resource id whose last segment names a gallery image (`getSourceImages` lists them), or an
image somewhere else: the id of one in a cloud, or the address of a file.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, select

from deskwright.domain.images import GALLERY
from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, list_of, one
from deskwright.graph.render import Known
from deskwright.graph.routes import serves
from deskwright.operations import images
from deskwright.store.tables import device_images

PATH = "deviceManagement/virtualEndpoint/deviceImages"
SET = f"/{PATH}"
TYPE = "cloudPcDeviceImage"
_COPIES = device_images.c
# What fails at one site has failed; what is not ready everywhere is not ready.
_STATUS = case(
    (func.bool_or(_COPIES.status == "failed"), "failed"),
    (func.bool_or(_COPIES.status == "pending"), "pending"),
    else_="ready",
)
_IMAGES = (
    select(
        _COPIES.tenant_id,
        _COPIES.image_id.label("id"),
        func.min(_COPIES.display_name).label("display_name"),
        func.min(_COPIES.version).label("version"),
        func.min(_COPIES.operating_system).label("operating_system"),
        func.max(_COPIES.disk_gb).label("disk_gb"),
        func.max(func.coalesce(_COPIES.source["gallery"].astext, _COPIES.source["uri"].astext)).label("source"),
        func.bool_and(_COPIES.source.has_key("gallery")).label("of_gallery"),
        _STATUS.label("status"),
        func.min(_COPIES.error_code).label("error_code"),
        func.max(_COPIES.modified_at).label("modified_at"),
    )
    .group_by(_COPIES.tenant_id, _COPIES.image_id)
    .subquery("images")
)
_i = _IMAGES.c


def _rows(call: Call) -> "Select[Any]":
    return select(_IMAGES).where(_i.tenant_id == call.tenant.id)


def _present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    today = connection.execute(select(func.tenant_now(call.tenant.id))).scalar_one().date()
    errors = call.model.enumerations["cloudPcDeviceImageErrorCode"].members
    found: list[Known] = []
    for row in rows:
        gallery = GALLERY.get(row.source) if row.of_gallery else None
        support = gallery.status_on(today) if gallery else "unknown"
        error = row.error_code if row.error_code in errors else "internalServerError"
        found.append(
            {
                "id": row.id,
                "displayName": row.display_name,
                "version": row.version,
                "operatingSystem": row.operating_system or None,
                "osStatus": support if support != "notSupported" else "unknown",
                "expirationDate": gallery.expiration_date if gallery else None,
                "sizeInGB": row.disk_gb,
                "sourceImageResourceId": _resource(call, row.source) if row.of_gallery else row.source,
                "status": row.status,
                "errorCode": error if row.status == "failed" else None,
                "statusDetails": error if row.status == "failed" else None,
                "scopeIds": ["0"],
                "lastModifiedDateTime": row.modified_at,
            }
        )
    return found


IMAGES = Source(
    TYPE,
    _rows,
    _i.id,
    Fields(
        {
            "id": Field(_i.id, "id"),
            "displayName": Field(_i.display_name),
            "version": Field(_i.version),
            "operatingSystem": Field(_i.operating_system),
            "sizeInGB": Field(_i.disk_gb, "int"),
            "status": Field(_i.status, "enum"),
            "lastModifiedDateTime": Field(_i.modified_at, "time"),
        }
    ),
    _present,
)


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_images(call: Call) -> Any:
    """List device images."""
    return collection(call, IMAGES, path=PATH)


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_images(call: Call) -> Any:
    """Count device images."""
    return number(count(call, IMAGES))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_image(call: Call) -> Any:
    """Get a device image."""
    return one(call, IMAGES, "device image", call.key("device image"))


@serves("POST", SET, WRITE, body=TYPE, returns=TYPE)
def create_image(call: Call) -> Any:
    """Create a device image at every site; it is pending until it is built."""
    given = bodies.newest(call, TYPE)
    for name in ("displayName", "version", "sourceImageResourceId"):
        if not given.get(name):
            raise bad(f"The property '{name}' is missing.", name)
    whole = given["sourceImageResourceId"].strip()
    last = whole.rstrip("/").rpartition("/")[2]
    from_gallery = last.lower() in GALLERY and "://" not in whole
    values: dict[str, Any] = {"source": {"gallery": last} if from_gallery else {"uri": whole}}
    if not from_gallery and whole.lower().startswith("/subscriptions/"):
        values["os_family"] = "windows"  # what images of that cloud are for
    image = images.create_everywhere(
        *call.change,
        display_name=given["displayName"],
        version=given["version"],
        confirmed=call.confirmed,
        **values,
    )
    return Created(one(call, IMAGES, "device image", image))


@serves("PATCH", f"{SET}/{{id}}", WRITE, body=TYPE, returns=TYPE)
def update_image(call: Call) -> Any:
    """Rename a device image, while nothing uses it."""
    image = call.key("device image")
    before = one(call, IMAGES, "device image", image)
    given = bodies.newest(call, TYPE)
    for name in ("version", "sourceImageResourceId"):
        if given.get(name) is not None and given[name] != before.get(name, given[name]):
            raise bad(f"'{name}' of a device image cannot be changed; make another version.", name)
    if given.get("displayName") is not None:
        images.rename(*call.change, image, given["displayName"], confirmed=call.confirmed)
    return one(call, IMAGES, "device image", image)


@serves("DELETE", f"{SET}/{{id}}", WRITE)
def delete_image(call: Call) -> None:
    """Delete a device image, while no policy and no Cloud PC uses it."""
    images.delete_everywhere(*call.change, call.key("device image"), confirmed=call.confirmed)


@serves("POST", f"{SET}/{{id}}/reupload", WRITE)
def reupload(call: Call) -> None:
    """Build a device image again where it failed, and at sites that have none of it."""
    images.upload_again(*call.change, call.key("device image"), confirmed=call.confirmed)


@serves("POST", f"{SET}/{{id}}/retryUpload", WRITE)
def retry_upload(call: Call) -> None:
    """The same by its newer name."""
    images.upload_again(*call.change, call.key("device image"), confirmed=call.confirmed)


@serves("GET", f"{SET}/getSourceImages()", READ, returns="Collection(cloudPcSourceDeviceImage)")
def list_source_images(call: Call) -> Any:
    """List what a device image can be made from: every gallery image."""
    sources = [
        {
            "id": image["id"],
            "resourceId": _resource(call, image["id"]),
            "displayName": image["displayName"],
            "subscriptionId": str(call.tenant.id),
            "subscriptionDisplayName": call.tenant.name,
            "category": "managedImage",
        }
        for image in images.list_gallery(*call.change[:2])
        if image["status"] != "notSupported"
    ]
    kinds = {"displayName": "text", "resourceId": "text"}
    return list_of(call, "cloudPcSourceDeviceImage", sources, kinds)


def _resource(call: Call, gallery_image: str) -> str:
    """A gallery image in the form of Azure's resource ids, which clients expect: its last segment is what counts."""
    return (
        f"/subscriptions/{call.tenant.id}/resourceGroups/deskwright/providers/Microsoft.Compute/images/{gallery_image}"
    )
