"""Licences from a CSV file: first what it would do, line by line, then the import itself."""

import zlib
from base64 import b85decode, b85encode

from cryptography.fernet import InvalidToken

from deskwright.domain.rules import Refused
from deskwright.operations import licence_import
from deskwright.web import words
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/licences/import"
_SHOWN = 200
"""Wrong lines on the preview."""


@page(_PATH)
def choose(view: View) -> Answer:
    return show("admin/licence_import.html", most=licence_import.MOST_LINES)


@action(_PATH, shown_by=choose)
def preview(view: View) -> Answer:
    """What the file would do. Nothing is changed."""
    return _preview(view, _given(view))


@page(f"{_PATH}/apply")
def again(view: View) -> Answer:
    """Where somebody comes back to the address of an import."""
    return Went(view.to("licences", "import"))


def _again(view: View) -> Answer:
    """The preview once more: what was right when it was shown is not any longer."""
    try:
        return _preview(view, _opened(view))
    except Refused:
        return choose(view)


@action(f"{_PATH}/apply", shown_by=_again)
def apply(view: View) -> Answer:
    """Do what the preview said, in one change."""
    lines = licence_import.parse(_opened(view))
    done = licence_import.apply(
        view.database,
        view.tenant,
        view.actor,
        lines,
        leave_out_wrong=view.form.flag("leaveOutWrong"),
        confirmed=view.confirmed,
    )
    said = [f"{words.count(done['assigned'], 'licence')} assigned"]
    if done["added"]:
        said.append(f"{words.count(done['added'], 'person', 'people')} put into groups")
    if done["leftOut"]:
        said.append(f"{words.count(done['leftOut'], 'wrong line')} left out")
    return Went(view.to("licences"), f"{', '.join(said)}.")


def _preview(view: View, content: str) -> Answer:
    lines = licence_import.parse(content)
    with view.reading() as connection:
        seen = licence_import.preview(connection, view.tenant, lines)
    beyond = any(plan["beyondSeats"] for plan in seen["plans"])
    return show(
        "admin/licence_import_preview.html",
        seen=seen,
        problems=seen["problems"][:_SHOWN],
        beyond=beyond,
        nothing=not any(p["assign"] for p in seen["plans"]) and not any(g["add"] for g in seen["groups"]),
        sealed=_sealed(view, content),
    )


def _given(view: View) -> str:
    """The text that was uploaded or pasted. Raises Refused."""
    uploaded, pasted = view.form.files.get("file"), view.form.get("lines")
    if uploaded and pasted:
        raise Refused("lines", None, "choose a file or paste the lines, not both")
    if uploaded:
        return licence_import.read(uploaded)
    if not pasted:
        raise Refused("file", None, "choose a file, or paste the lines below")
    return licence_import.read(pasted.encode())


# The file travels with the preview, sealed, so that exactly what was looked at is imported; and packed, because names
# of one domain repeat a lot. It is bound to the tenant, and to this purpose.


def _sealed(view: View, content: str) -> str:
    packed = b85encode(zlib.compress(content.encode(), 6)).decode()
    return view.world.secrets.encrypt(f"{_mark(view)}{packed}").decode()


def _opened(view: View) -> str:
    try:
        plain = view.world.secrets.decrypt(view.form.get("sealed").encode())
    except (InvalidToken, UnicodeDecodeError):
        plain = ""
    if not plain.startswith(_mark(view)):
        raise Refused("file", None, "the file did not come along", remedy="Choose it again")
    return zlib.decompress(b85decode(plain.removeprefix(_mark(view)))).decode()


def _mark(view: View) -> str:
    return f"licences for {view.tenant.id}:"
