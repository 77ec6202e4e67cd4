"""The text that Prometheus reads, and who may read it."""

import hmac
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deskwright.settings import Settings
from deskwright.telemetry import metrics
from deskwright.telemetry.metrics import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@dataclass(frozen=True)
class Sample:
    """One value that was read from the database."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()
    tenant: str | None = None


def text(samples: Iterable[Sample] = ()) -> bytes:
    """What this process counted, and `samples` after it."""
    from prometheus_client import generate_latest
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector, CollectorRegistry

    grouped: dict[str, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.metric.name, []).append(sample)

    class Read(Collector):
        def collect(self) -> Iterator[Any]:
            for name, found in grouped.items():
                metric = found[0].metric
                tenant = ("tenant",) if found[0].tenant is not None else ()
                family = GaugeMetricFamily(name, metric.meaning, labels=(*metric.labels, *tenant))
                for one in found:
                    family.add_metric((*one.labels, *((one.tenant,) if one.tenant is not None else ())), one.value)
                yield family

    read = CollectorRegistry()
    read.register(Read())
    return generate_latest(metrics.counted()) + generate_latest(read)


def may_read(settings: Settings, peer: str | None, headers: Mapping[str, str]) -> bool:
    """With DESKWRIGHT_METRICS_TOKEN whoever presents it; without it only who calls from this machine itself.

    What a proxy passes on comes from elsewhere, however near the proxy is. `headers`: names in lower case.
    """
    if settings.metrics_token is not None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        wanted = settings.metrics_token.get_secret_value()
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted.encode())
    if any(name in headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(peer or "").is_loopback
    except ValueError:
        return False
