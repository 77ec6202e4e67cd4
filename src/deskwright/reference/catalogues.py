"""Pages that list a catalogue: errors, settings, health checks, images and regions."""

from collections.abc import Callable, Iterable

from pydantic import BaseModel

from deskwright import errors
from deskwright.checks.table import CHECKS
from deskwright.domain.images import GALLERY
from deskwright.domain.regions import REGION_GROUPS
from deskwright.reference.markdown import LIMITS, code, default, page, table
from deskwright.settings import Settings, TenantSettings


def _template(text: str) -> str:
    # Braces mean nothing to most readers, and plain angle brackets are HTML to a renderer.
    text = text.replace("{reason}", ": *‹reason›*")
    for name in errors.VALUES:
        text = text.replace("{" + name + "}", f"*‹{name}›*")
    return text


def errors_page() -> str:
    parts = [
        "Every error a provisioning run can show, with its cause and what mends it. The code is the API's"
        " `statusDetail.code`. Words like *‹subnet›* are replaced by the actual values.",
        table(
            ("code", "title", "stage", "steps", "what it does to the run"),
            (
                (
                    f"[{e.code}](#{e.code.lower()})",
                    e.title,
                    e.stage,
                    ", ".join(e.steps) or "none",
                    e.effect.description,
                )
                for e in errors.CATALOGUE.values()
            ),
        ),
    ]
    parts.extend(_error(e) for e in errors.CATALOGUE.values())
    parts += [
        "## Values",
        "What the words in messages stand for; a provider that raises an error says as many of them as it knows.",
        table(("value", "is"), ((code(name), meaning) for name, meaning in errors.VALUES.items())),
    ]
    return page("Errors", *parts)


def _error(e: errors.ErrorEntry) -> str:
    known_as = "" if e.document_title in {"", e.title} else f" In Microsoft's documents: {e.document_title}."
    again = "can help" if e.retry_helps else "alone does not help"
    offered = "\n".join(f"- {a.label}: `{a.command}`" for a in (errors.offered(o, {}) for o in e.actions))
    return "\n\n".join(
        (
            f"## {e.code}",
            f"**{e.title}.**{known_as} A retry {again}.",
            f"> {_template(e.message)}",
            _template(e.cause),
            "\n".join(f"{n}. {_template(r)}" for n, r in enumerate(e.remedies, start=1)),
            f"Deskwright offers:\n\n{offered}",
        )
    )


def _fields(model: type[BaseModel], spelled: Callable[[str], str]) -> Iterable[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        limits = ", ".join(
            f"{words} {getattr(rule, attribute)}"
            for rule in field.metadata
            for attribute, words in LIMITS
            if getattr(rule, attribute, None) is not None
        )
        yield code(spelled(name)), default(field), limits, field.description or ""


def settings_page() -> str:
    prefix = Settings.model_config["env_prefix"]
    head = ("setting", "default", "limits", "is")
    return page(
        "Settings",
        "## Of the installation",
        "Environment variables, read when a process starts.",
        table(head, _fields(Settings, lambda name: f"{prefix}{name}".upper())),
        "## Of a tenant",
        "Stored with the tenant and changeable while it runs; in a tenant document they have the same names."
        " Durations are in the tenant's time, which a simulated tenant can advance.",
        table(head, _fields(TenantSettings, lambda name: name)),
    )


def health_checks_page() -> str:
    def details() -> Iterable[str]:
        for check in CHECKS.values():
            yield f"## {check.id}"
            yield f"**{check.title}.** {check.does}"
            yield f"Remedy: {check.remedy}"
            yield "Error codes: " + ", ".join(code(c) for c in check.error_codes)

    return page(
        "Health checks of a network connection",
        "A connection is checked when it is made, when it is changed, on request and every six hours. If"
        " a required"
        " check fails, the connection is `failed` and nothing is provisioned over it; any other failure"
        " makes it"
        " `warning`, with which it is used.",
        table(
            ("check", "title", "failing means", "connections"),
            (
                (
                    f"[{c.id}](#{c.id.lower()})",
                    c.title,
                    "failed" if c.required else "warning",
                    "hybrid join only" if c.hybrid_only else "all",
                )
                for c in CHECKS.values()
            ),
        ),
        *details(),
    )


def images_and_regions_page() -> str:
    return page(
        "Gallery images and regions",
        "## Gallery images",
        "An image is `supported` until the end of its operating system's support, `supportedWithWarning`"
        " for six months"
        " more, and then `notSupported`: nothing new is provisioned from it. Windows images are"
        " simulated only.",
        table(
            ("id", "name", "system", "disk", "supported until", "usable until", "recommended"),
            (
                (
                    code(i.id),
                    i.display_name,
                    i.os_family,
                    f"{i.disk_gb} GB",
                    i.end_date.isoformat(),
                    i.expiration_date.isoformat(),
                    "yes" if i.recommended else "",
                )
                for i in GALLERY.values()
            ),
        ),
        "## Region groups",
        "A tenant that names no sites gets a simulated one for each region group, called as the group's first region.",
        table(
            ("region group", "name", "regions"),
            ((code(g.name), g.display_name, ", ".join(code(r) for r in g.regions)) for g in REGION_GROUPS.values()),
        ),
    )
