"""The table of the Graph API's calls, and the OpenAPI documents."""

from deskwright.api import pages as api_pages
from deskwright.graph import coverage
from deskwright.graph.contract import VERSIONS
from deskwright.graph.coverage import Answer
from deskwright.reference.markdown import code, page, table


def openapi(name: str) -> str:
    return api_pages.openapi_json(name).decode()


_ANSWERS = {Answer.SERVED: "served", Answer.NOT_ALLOWED: "405", Answer.NOT_SERVED: "501"}


def graph_api_page() -> str:
    """Every call of the contract, and whether it is served."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for version in VERSIONS:
        for operation, answer in coverage.answers(version):
            found.setdefault((operation.path, operation.method), {})[version] = _ANSWERS[answer]
    sets: dict[str, list[tuple[str, ...]]] = {}
    for (path, method), told in sorted(found.items(), key=lambda item: (item[0][0].lower(), item[0][1])):
        cells = (code(f"{method} {path}"), *(told.get(version, "") for version in VERSIONS))
        sets.setdefault(coverage.set_of(path), []).append(cells)
    parts = [
        "Every call that the published contract of Microsoft Graph's Cloud PC API has, and the directory's calls its"
        " clients need. *served*: it works. *501*: it is answered with an error that names it, and nothing is changed."
        " *405*: the set is read-only; only the generator of the SDKs knows the call. Empty: the version lacks it."
        " Parameters, bodies and answers are in the OpenAPI documents beside this"
        " ([v1.0](openapi/v1.0.json), [beta](openapi/beta.json), [/deskwright](openapi/deskwright.json)); a running"
        " service shows them at `/deskwright/docs`.",
        "\n".join(f"- {coverage.share(version)}" for version in VERSIONS),
    ]
    for name, rows in sorted(sets.items()):
        parts += [f"## {name}", table(("call", *VERSIONS), rows)]
    return page("The Graph API", *parts)
