"""The error catalogue: what can go wrong, in words an administrator can act on. The data is in errors.toml.

The codes are the service's public ones where one is known (`reference/graph-api.md` section 4, and the list
Microsoft publishes for hosted machines, which are provisioned by the same service).
"""

import shlex
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

STEPS = (
    *("C1", "C2", "C3", "C4", "C5", "C6", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "A0", "A1"),
    *("R1", "R2", "R3", "R4", "R5", "R6", "P8"),
)
"""Of the pipeline, then of the remote actions."""
STAGES = ("core", "configure", "assign", "creation")


class Effect(StrEnum):
    """What an error does to the run it happens in."""

    RETRY = "retry"
    """Fails the attempt; the next one is tried."""
    STOP = "stop"
    """Stops the run at once: retrying cannot help (V3)."""
    WARN = "warn"
    """Leaves a warning; provisioning goes on."""
    BLOCK = "block"
    """Keeps a run from starting; during one it fails the attempt (V3)."""
    REFUSE = "refuse"
    """Only ever refuses the creation of an object."""

    @property
    def description(self) -> str:
        return _EFFECTS[self]


_EFFECTS = {
    Effect.RETRY: "fails the attempt; tried again, up to the number of attempts",
    Effect.STOP: "stops the run at once",
    Effect.WARN: "leaves a warning",
    Effect.BLOCK: "keeps provisioning waiting; during a run it fails the attempt",
    Effect.REFUSE: "refused before anything is made",
}


class Offer(StrEnum):
    """What Deskwright itself can do about an error: a button in the pages, a command in the CLI."""

    RETRY = "retry"
    REPROVISION = "reprovision"
    REPAIR = "repair"
    SHOW_TIMELINE = "showTimeline"
    CHECK_CONNECTION = "checkConnection"
    TRIAL_JOIN = "trialJoin"
    SHOW_ADDRESSES = "showAddresses"
    EXPLAIN_USER = "explainUser"
    SHOW_POLICY = "showPolicy"
    LIST_LICENSES = "listLicenses"
    LIST_IMAGES = "listImages"
    SHOW_SITES = "showSites"
    DOCTOR = "doctor"

    @property
    def label(self) -> str:
        return _OFFERS[self][0]

    @property
    def command(self) -> str:
        """A template over the catalogue's values."""
        return _OFFERS[self][1]


_OFFERS: dict[Offer, tuple[str, str]] = {
    Offer.RETRY: ("Retry", "deskwright retry {cloudPc}"),
    Offer.REPROVISION: ("Reprovision (deletes all data)", "deskwright reprovision {cloudPc}"),
    Offer.REPAIR: ("Repair in place", "deskwright repair {cloudPc}"),
    Offer.SHOW_TIMELINE: ("Show the timeline", "deskwright show {cloudPc}"),
    Offer.CHECK_CONNECTION: ("Check the connection now", "deskwright connection check {connection}"),
    # The trial join is one of the connection's health checks (checks.table: adDomainJoin).
    Offer.TRIAL_JOIN: (
        "Run a trial join with the connection's account",
        "deskwright connection check {connection}",
    ),
    Offer.SHOW_ADDRESSES: ("Show the free addresses", "deskwright connection show {connection}"),
    Offer.EXPLAIN_USER: ("Explain what this person is due", "deskwright explain {user}"),
    Offer.SHOW_POLICY: ("Show the policy", "deskwright policy show {policy}"),
    Offer.LIST_LICENSES: ("List the licences", "deskwright license list"),
    Offer.LIST_IMAGES: ("List the images", "deskwright image list"),
    Offer.SHOW_SITES: ("List the sites and regions", "deskwright site list"),
    Offer.DOCTOR: ("Examine this installation", "deskwright doctor"),
}


@dataclass(frozen=True)
class ErrorEntry:
    """One error of the catalogue. Message, cause and remedies are `str.format` templates over `values`."""

    code: str
    title: str
    document_title: str
    """The title Microsoft's documents give it; empty where they have none."""
    stage: str
    """core | configure | assign | creation"""
    steps: tuple[str, ...]
    """Ids of the pipeline steps that may end with it."""
    effect: Effect
    message: str
    cause: str
    remedies: tuple[str, ...]
    remedy_ids: tuple[str, ...]
    """The id of each of `remedies`, in the same order."""
    actions: tuple[Offer, ...]
    retry_helps: bool
    """Whether a new attempt can succeed; False: something else has to change first."""
    values: tuple[str, ...]
    """The names its templates use, in order of appearance: what a provider should say when it raises it."""


@dataclass(frozen=True)
class OfferedAction:
    """An `Offer` with the names filled in, ready to be copied into a shell."""

    id: str
    label: str
    command: str


@dataclass(frozen=True)
class Explained:
    """An error of the catalogue with the actual values, as people see it."""

    code: str
    title: str
    stage: str
    message: str
    cause: str
    remedies: tuple[str, ...]
    actions: tuple[OfferedAction, ...]
    retry_helps: bool


class _Tolerant(string.Formatter):
    """`str.format` by name, to which a missing value is a question mark: an error must always be shown."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        value = self._values.get(str(key))
        missing = value is None or value == ""
        if key == "reason":
            # Closes a message with what the provider said: an extra, which is no gap where it is missing.
            return "" if missing else ": " + str(value).rstrip(".")
        return "?" if missing else value


class _Command(_Tolerant):
    """The same for command lines: values are quoted, a missing one is a placeholder in capitals."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        value = super().get_value(key, args, kwargs)
        return str(key).upper() if value == "?" else shlex.quote(str(value))


def _filled(template: str, values: Mapping[str, Any]) -> str:
    return _Tolerant(values).format(template)


def _placeholders(*templates: str) -> tuple[str, ...]:
    names = (name for template in templates for _, name, _, _ in string.Formatter().parse(template) if name)
    return tuple(dict.fromkeys(names))


def _load() -> tuple[dict[str, ErrorEntry], dict[str, tuple[str, ...]], dict[str, str]]:
    source = tomllib.loads(files("deskwright").joinpath("errors.toml").read_text(encoding="utf-8"))
    texts: dict[str, str] = dict(source["shared"])
    for fields in source["errors"].values():
        for remedy in fields["remedies"]:
            if isinstance(remedy, dict):
                if remedy["id"] in texts:
                    raise ValueError(f"errors.toml: remedy {remedy['id']} is written twice")
                texts[remedy["id"]] = remedy["text"]
    catalogue = {}
    for code, fields in source["errors"].items():
        ids = tuple(r["id"] if isinstance(r, dict) else r for r in fields["remedies"])
        remedies = tuple(texts[i] for i in ids)
        catalogue[code] = ErrorEntry(
            code=code,
            title=fields["title"],
            document_title=fields["document_title"],
            stage=fields["stage"],
            steps=tuple(fields["steps"]),
            effect=Effect(fields["effect"]),
            message=fields["message"],
            cause=fields["cause"],
            remedies=remedies,
            remedy_ids=ids,
            actions=tuple(Offer(a) for a in fields["actions"]),
            retry_helps=fields["retry_helps"],
            values=_placeholders(fields["message"], fields["cause"], *remedies),
        )
    documents = {heading: tuple(ids) for heading, ids in source["documents"].items()}
    return catalogue, documents, dict(source["values"])


CATALOGUE, DOCUMENTS, VALUES = _load()
"""By code; from the headings of Microsoft's document to remedy ids; from the values' names to meanings."""


def offered(offer: Offer, values: Mapping[str, Any]) -> OfferedAction:
    """The offer with its command line filled in; a missing value stays a placeholder, such as CLOUDPC."""
    return OfferedAction(offer.value, offer.label, _Command(values).format(offer.command))


def entry(code: str) -> ErrorEntry:
    """The catalogue's entry for `code`; that of internalServerError for a code it does not know."""
    return CATALOGUE.get(code) or CATALOGUE["internalServerError"]


def codes_for(step: str) -> tuple[str, ...]:
    """The codes with which a pipeline step may end, in the catalogue's order."""
    return tuple(code for code, found in CATALOGUE.items() if step in found.steps)


def explain(code: str, values: Mapping[str, Any]) -> Explained:
    """The error in words, with `values` filled in; never fails, whatever is missing."""
    found = entry(code)
    if code != found.code:
        # The code is the only thing known about it: do not lose it.
        values = {**values, "reason": ": ".join(filter(None, (code, str(values.get("reason") or ""))))}
    return Explained(
        code=found.code,
        title=found.title,
        stage=found.stage,
        message=_filled(found.message, values),
        cause=_filled(found.cause, values),
        remedies=tuple(_filled(r, values) for r in found.remedies),
        actions=tuple(offered(a, values) for a in found.actions),
        retry_helps=found.retry_helps,
    )
