"""All Cloud PCs: what is asked for stands in the address, what is shown of each in a cookie."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from deskwright import errors
from deskwright.operations import cloud_pc_list, listing
from deskwright.operations.bulk_preview import MOST
from deskwright.operations.cloud_pc_list import STATUSES, Filter, Order
from deskwright.web import words
from deskwright.web.admin.bulk_kinds import MENU, OFFERS
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, File, View, Went, show

_PATH = "/admin/{tenant}/cloud-pcs"
_COOKIE = "deskwright-columns"
SIZES = (25, 50, 100, 200)
COLUMNS: Mapping[str, str] = {
    "device": "Device",
    "plan": "Service plan",
    "policy": "Policy",
    "connection": "Connection",
    "image": "Image",
    "site": "Site",
    "since": "Since",
}
"""Those one may leave out; user and status are always there."""
_USUAL = ("device", "plan", "policy", "connection", "image", "since")
_NARROWING = ("policy", "plan", "connection", "image", "site", "user", "q", "code", "warning", "waiting", "grace")
_HERE = ("status", *_NARROWING, "sort", "dir", "size")
_WAITING = {
    "seat": "waiting for a seat",
    "connection": "waiting for a healthy connection",
    "start": "about to start",
    "noPolicy": "reached by no policy",
    "accountDisabled": "account disabled",
}


@dataclass(frozen=True)
class Asked:
    """What an address asks for."""

    pairs: Sequence[tuple[str, str]]

    def get(self, name: str, default: str = "") -> str:
        return next((v for n, v in reversed(self.pairs) if n == name), default)

    @property
    def filter(self) -> Filter:
        return Filter(
            statuses=tuple(dict.fromkeys(v for n, v in self.pairs if n == "status")),
            policy=self.get("policy"),
            plan=self.get("plan"),
            connection=self.get("connection"),
            image=self.get("image"),
            site=self.get("site"),
            user=self.get("user"),
            text=self.get("q"),
            code=self.get("code") or self.get("warning"),
            waiting=self.get("waiting"),
            grace_soon=bool(self.get("grace")),
        )

    @property
    def order(self) -> Order:
        return Order(self.get("sort", "user"), self.get("dir") == "desc")

    @property
    def size(self) -> int:
        return int(self.get("size")) if self.get("size") in {str(size) for size in SIZES} else 50

    def query(self, *, without: tuple[str, str] | None = None, **changes: str) -> str:
        """The query string with these changed, or taken out where they are empty; `without` takes out one value."""
        kept = [(n, v) for n, v in self.pairs if n not in changes and (n, v) != without]
        return urlencode([*kept, *((n, v) for n, v in changes.items() if v)])


def asked(view: View) -> Asked:
    return Asked([(n, v.strip()) for n, v in view.request.query_params.multi_items() if n in _HERE and v.strip()])


def asked_by(query: str) -> Asked:
    """The same from a query string that a form carries."""
    return Asked([(n, v) for n, v in parse_qsl(query) if n in _HERE])


@page(_PATH)
def list_(view: View) -> Answer:
    wanted, after = asked(view), view.asked("after")
    found = cloud_pc_list.page(
        view.database, view.tenant, wanted.filter, wanted.order, after=after or None, limit=wanted.size
    )
    with view.reading() as connection:
        counts = listing.counts(connection, view.tenant)
    total = sum(n for status, n in counts.items() if not wanted.filter.statuses or status in wanted.filter.statuses)
    columns = _columns(view)
    choices = {} if view.fragment else cloud_pc_list.choices(view.database, view.tenant)
    return show(
        "admin/cloud_pcs.html",
        "results" if view.fragment else None,
        rows=found.rows,
        tenant=view.tenant.name,
        here_url=_to(view, wanted.query(), after),
        first=_to(view, wanted.query()) if after else "",
        following=_to(view, wanted.query(), found.following) if found.following else "",
        total=total if wanted.filter.only_statuses else None,
        empty=not counts,
        chips=_chips(view, wanted, counts),
        narrowed=_narrowed(view, wanted),
        asked=wanted,
        hidden=[p for p in wanted.pairs if p[0] not in ("q", *choices)],
        choices=choices,
        heads=_heads(view, wanted),
        columns=columns,
        left_out=[name for name in COLUMNS if name not in columns],
        export=f"{view.to('cloud-pcs.csv')}?{wanted.query()}",
        sizes=[(str(n), f"{n} rows") for n in SIZES],
        menu=MENU,
        offers=OFFERS,
        most=MOST,
        picks=view.may_change,
    )


@action(f"{_PATH}/columns", Needs.READER)
def choose_columns(view: View) -> Answer:
    chosen = [name for name in COLUMNS if name in view.form.some("columns")]
    wanted = asked_by(view.form.get("query"))
    size = view.form.get("size")
    query = wanted.query(size="" if size == "50" else size if size.isdigit() else "")
    return Went(_to(view, query), cookies={_COOKIE: ".".join(chosen) or "none"})


@page("/admin/{tenant}/cloud-pcs.csv")
def export(view: View) -> Answer:
    wanted = asked(view)
    rows = cloud_pc_list.every(view.database, view.tenant, wanted.filter, wanted.order)
    name = f"cloud-pcs-{view.tenant.name}-{view.now:%Y-%m-%d}.csv"
    return File(_csv(rows, _columns(view)), "text/csv; charset=utf-8", name)


def _columns(view: View) -> Sequence[str]:
    kept = view.request.cookies.get(_COOKIE, "")
    return [name for name in COLUMNS if name in kept.split(".")] if kept else _USUAL


def _to(view: View, query: str, after: str | None = None) -> str:
    parts = [query] if query else []
    if after:
        parts.append(urlencode({"after": after}))
    return view.to("cloud-pcs") + (f"?{'&'.join(parts)}" if parts else "")


def _chips(view: View, wanted: Asked, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """A link for each status that puts it into the filter or takes it out. Counts: while nothing else narrows."""
    chosen = wanted.filter.statuses
    counted = wanted.filter.only_statuses
    everything = {
        "word": None,
        "count": sum(counts.values()),
        "url": _to(view, wanted.query(status="")),
        "on": not chosen,
    }
    found: list[dict[str, Any]] = [everything]
    for status in STATUSES:
        if status in counts or status in chosen:
            url = wanted.query(without=("status", status))
            if status not in chosen:
                url = "&".join(filter(None, (url, urlencode({"status": status}))))
            on = status in chosen
            found.append({"word": words.word(status), "count": counts.get(status, 0), "url": _to(view, url), "on": on})
    return [{**chip, "count": chip["count"] if counted else None} for chip in found]


def _narrowed(view: View, wanted: Asked) -> list[tuple[str, str]]:
    """(what narrows, the address without it), for what no field of the form shows."""
    found = []
    by = wanted.filter
    for names, text in (
        (("code", "warning"), by.code and f"with {_title(by.code)}"),
        (("waiting",), by.waiting and _WAITING.get(by.waiting, by.waiting)),
        (("grace",), by.grace_soon and "grace period ends within 48 hours"),
        (("user",), by.user and f"of {by.user}"),
    ):
        if text:
            left = Asked([pair for pair in wanted.pairs if pair[0] not in names])
            found.append((text, _to(view, left.query())))
    return found


def _title(code: str) -> str:
    return errors.CATALOGUE[code].title if code in errors.CATALOGUE else code


def _heads(view: View, wanted: Asked) -> list[dict[str, str]]:
    """The columns in their order, with the link that sorts by each."""
    order, found = wanted.order, []
    for name, title in (("user", "User"), ("status", "Status"), *COLUMNS.items()):
        head = {"name": name, "title": title, "url": "", "sorted": ""}
        if name in cloud_pc_list.KEYS:
            here = order.by == name
            turned = "desc" if here and not order.descending else ""
            head["url"] = _to(view, wanted.query(sort="" if name == "user" else name, dir=turned))
            head["sorted"] = ("descending" if order.descending else "ascending") if here else "none"
        found.append(head)
    return found


# --- as a table for spreadsheets ----------------------------------------------------------------------

_VALUES: Mapping[str, str] = {
    "device": "managedDeviceName",
    "plan": "servicePlanName",
    "policy": "provisioningPolicyName",
    "connection": "onPremisesConnectionName",
    "image": "imageDisplayName",
    "site": "siteName",
}
_CHUNK = 500


def _csv(rows: Iterator[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[bytes]:
    """With a mark that tells spreadsheets it is UTF-8, a part at a time."""
    heads = ["User name", "Display name", "Status", *(COLUMNS[c] for c in columns), "Detail"]
    listed = [heads]
    mark = b"\xef\xbb\xbf"
    for row in rows:
        listed.append([harmless(value) for value in _line(row, columns)])
        if len(listed) >= _CHUNK:
            yield mark + _lines(listed)
            listed, mark = [], b""
    if listed:
        yield mark + _lines(listed)


def _line(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    detail = row["statusDetail"]["message"] if row["statusDetail"] else row["waitingText"]
    told = [row["since"].isoformat(timespec="seconds") if c == "since" else row[_VALUES[c]] or "" for c in columns]
    return [row["userPrincipalName"], row["userDisplayName"], words.word(row["status"]).text, *told, detail]


_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the wide ones count as the narrow ones in some places


def harmless(value: str) -> str:
    """A spreadsheet would take what begins like this for a formula, and carry it out."""
    return f"'{value}" if value.lstrip(" ")[:1] in _FORMULA and value.strip() else value


def _lines(listed: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(listed)
    return text.getvalue().encode()
