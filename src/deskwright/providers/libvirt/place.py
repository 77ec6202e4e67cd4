"""One site on its host, for the length of a call: what the parts of the provider work with."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import libvirt

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Call, NotYet, ProviderError
from deskwright.providers.libvirt import volumes
from deskwright.providers.libvirt.configuration import Configuration
from deskwright.providers.libvirt.host import connect, is_full, is_lost, said
from deskwright.providers.libvirt.records import Records
from deskwright.providers.site import Site

PATIENCE_SECONDS = 3.0
"""So long a call watches for what is about to happen, before it says NotYet."""
_GLANCE_SECONDS, _LONGEST_GLANCE_SECONDS, _LATER_AT_MOST = 0.1, 1.0, 1 / 64
_NOBODY_WAITS = {"screen": "endpointCheckFailed", "": "internalServerError"}
"""Of what is asked outside a run: the step it goes by, and the code when the host does not answer."""


@dataclass(frozen=True)
class Place:
    site: Site
    at: Configuration
    records: Records
    connection: Any

    def later(self, seconds: float, reason: str, share: float | None = None) -> NotYet:
        return later(self.records, seconds, reason, share)

    def patiently(self, look: Callable[[], str | None], reason: str, again: float = 0.2, waited: float = 0.0) -> str:
        """What `look` finds, waiting a little for it. Raises NotYet, to be asked `again` so many seconds later.

        waited: seconds before this call. What takes long is looked at the less often, and so noticed late by a small
        share of that: each look costs the machine that is waited for some of the host's time.
        """
        began = time.monotonic()
        while (seen := look()) is None:
            taken = time.monotonic() - began
            pause = min(max(_GLANCE_SECONDS, (waited + taken) * _LATER_AT_MOST), _LONGEST_GLANCE_SECONDS)
            if taken >= PATIENCE_SECONDS:
                raise self.later(max(again, pause), reason)
            time.sleep(pause)
        return seen

    def pool(self) -> Any:
        """Of the site's disks, made on first use."""
        return volumes.site_pool(self.connection, self.at.directory, self.site.id)

    def shared_key(self, kind: Kind) -> str:
        """Of what belongs to the site, not to one Cloud PC."""
        return Call(self.site.tenant_id, self.site.id, self.site.id, 0, 0, "network").site_key(kind)


def later(records: Records, seconds: float, reason: str, share: float | None = None) -> NotYet:
    return NotYet(records.now() + timedelta(seconds=seconds), reason, share)


@contextlib.contextmanager
def asking(site: Site, at: Configuration, records: Records, step: str) -> Iterator[Place]:
    """The place, with the host's connection. What libvirt refuses is told in the contract's terms."""
    try:
        yield Place(site, at, records, connect(at.uri))
    except libvirt.libvirtError as error:
        if not is_lost(error):
            code, reason = "capacityUnavailable" if is_full(error) else "internalServerError", said(error)
            raise ProviderError(code, site=site.name, step=step, reason=f"libvirt at {at.where}: {reason}") from error
        reason = f"libvirt at {at.where} does not answer: {said(error)}"
        if step in _NOBODY_WAITS:
            raise ProviderError(_NOBODY_WAITS[step], site=site.name, step=step, reason=reason) from error
        raise later(records, 5, reason) from error
