"""Reference pages, generated from the tables that the code itself runs on.

``python -m deskwright.reference docs/reference`` writes them, ``--check`` compares; a test does the latter.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from deskwright.api import pages as api_pages
from deskwright.reference.catalogues import errors_page, health_checks_page, images_and_regions_page, settings_page
from deskwright.reference.commands import commands_page
from deskwright.reference.graph_api import graph_api_page, openapi
from deskwright.reference.steps import status_and_steps_page
from deskwright.reference.tenant_document import tenant_document_page

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "errors.md": errors_page,
    "settings.md": settings_page,
    "health-checks.md": health_checks_page,
    "images-and-regions.md": images_and_regions_page,
    "status-and-steps.md": status_and_steps_page,
    "tenant-document.md": tenant_document_page,
    "graph-api.md": graph_api_page,
    **{f"openapi/{name}.json": partial(openapi, name) for name in api_pages.DOCUMENTS},
}


def outdated(directory: Path) -> list[str]:
    """Names of the pages in `directory` that are missing or differ from what the code says now."""
    return [
        name
        for name, page in PAGES.items()
        if not (file := directory / name).is_file() or file.read_text(encoding="utf-8") != page()
    ]
