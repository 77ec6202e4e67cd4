"""galleryImages: what every site offers, with how long each is supported."""

from typing import Any

from deskwright.graph.access import READ
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.listing import Source, collection, count, one, values_source
from deskwright.graph.routes import serves
from deskwright.operations import images

PATH = "deviceManagement/virtualEndpoint/galleryImages"
SET = f"/{PATH}"
TYPE = "cloudPcGalleryImage"
_KINDS = {
    "displayName": "text",
    "offer": "text",
    "offerName": "text",
    "offerDisplayName": "text",
    "publisher": "text",
    "publisherName": "text",
    "sku": "text",
    "skuName": "text",
    "skuDisplayName": "text",
    "osVersionNumber": "text",
    "recommendedSku": "text",
    "sizeInGB": "int",
    "status": "enum",
    "startDate": "date",
    "endDate": "date",
    "expirationDate": "date",
}


def _images(call: Call) -> Source:
    found = []
    for image in images.list_gallery(*call.change[:2]):
        offer, sku = image["offerName"], image["skuName"]
        also = {
            "offer": offer,
            "offerDisplayName": offer,
            "publisher": image["publisherName"],
            "sku": sku,
            "skuDisplayName": sku,
            "recommendedSku": sku if image["recommended"] else None,
        }
        found.append({**image, **also})
    return values_source(TYPE, found, _KINDS)


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_images(call: Call) -> Any:
    """List gallery images."""
    return collection(call, _images(call), path=PATH)


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_images(call: Call) -> Any:
    """Count gallery images."""
    return number(count(call, _images(call)))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_image(call: Call) -> Any:
    """Get a gallery image."""
    return one(call, _images(call), "gallery image", call.keys[0].lower())
