"""The OpenAPI documents and the page about them: open to all, complete, and without anything from elsewhere."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from deskwright.api import pages
from tests.api.conftest import Api

ALL = pytest.mark.parametrize("name", pages.DOCUMENTS)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(api: Api, name: str) -> tuple[Reader, str]:
    path = "/deskwright/docs" if name == "deskwright" else f"/deskwright/docs/{name}"
    got = api.client.get(path)
    assert got.status_code == 200
    reader = Reader()
    reader.feed(got.text)
    assert reader.open == [], "every element is closed"
    return reader, got.text


@ALL
def test_documents_are_served_without_sign_in(api: Api, name: str) -> None:
    got = api.client.get(f"/{name}/openapi.json")
    assert got.status_code == 200
    assert got.json()["openapi"].startswith("3.1")
    assert got.json() == json.loads(pages.openapi_json(name)) == json.loads(json.dumps(pages.DOCUMENTS[name]()))


@ALL
def test_the_page_has_every_call_with_a_curl_line(api: Api, name: str) -> None:
    reader, text = page(api, name)
    calls = [o["operationId"] for item in pages.DOCUMENTS[name]()["paths"].values() for o in item.values()]
    ids = [attrs["id"] for _, attrs in reader.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert set(calls) <= set(ids)
    assert text.count("curl -sS") == len(calls)
    for _, attrs in reader.tags:
        target = attrs.get("href") or ""
        if target.startswith("#"):
            assert re.sub("%2F", "/", target[1:]) in {i and i.replace("%2F", "/") for i in ids}, target


@ALL
def test_the_page_needs_nothing_from_elsewhere(api: Api, name: str) -> None:
    """Its one script, which sends calls from the page, stands in it and is the only one the policy allows."""
    reader, text = page(api, name)
    assert not {"img", "iframe", "link"} & {tag for tag, _ in reader.tags}
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"script-src 'sha256-{digest}'; connect-src 'self'"
        in api.client.get("/deskwright/docs").headers["content-security-policy"]
    )
    assert not re.search(r"(href|src)=\"https?:", text)
    policy = api.client.get("/deskwright/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_reads_well_without_eyes(api: Api) -> None:
    reader, _ = page(api, "deskwright")
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("h1") == tags.count("main") == 1
    assert dict(reader.tags)["html"]["lang"] == "en"
    assert next(attrs for tag, attrs in reader.tags if tag == "a")["class"] == "skip"
    assert all(attrs.get("scope") for tag, attrs in reader.tags if tag == "th")
    assert sum(attrs.get("aria-current") == "page" for _, attrs in reader.tags) == 1
