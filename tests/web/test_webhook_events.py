"""R6: events that were not taken, in the admin center."""

import pytest

from deskwright.identity.permissions import READER
from deskwright.operations import notifications, tenants
from tests.company import Company
from tests.receivers import webhook
from tests.web.conftest import Browser, as_person


@pytest.fixture
def refused(company: Company) -> Company:
    """A tenant whose webhook took nothing."""
    with webhook() as receiver:
        receiver.status = 410
        tenants.set_settings(company.world.database, company.tenant, "test", {"webhookUrl": receiver.url})
        company.basics("adele")
        company.settle()
        notifications.send(company.world)
    return company


def test_they_are_shown_sent_again_and_let_go(pages: Browser, refused: Company) -> None:
    assert "3 events were not taken by the webhook" in pages.get("health?findings=now").words
    seen = pages.get("health/events")
    assert "webhook answered 410" in seen.words
    assert "Send all 3 again" in seen.words
    ids = [str(row.id) for row in refused.sql("SELECT id FROM notifications ORDER BY number")]
    assert all(i in seen.text for i in ids)
    assert "1 discarded." in pages.post("health/events/discard", {"event": ids[0]}).words
    assert "1 will be sent again." in pages.post("health/events/retry", {"event": ids[1]}).words
    again = pages.post("health/events/retry", {"event": ids[1]})
    assert again.status in (404, 422)
    assert pages.post("health/events/retry", {"event": "x"}).status == 422
    assert "1 will be sent again." in pages.post("health/events/retry", {"event": "all"}).words
    assert "Every event got through" in pages.get("health/events").words
    assert pages.get("health/events?after=x").status == 400


def test_a_reader_sees_them_and_changes_nothing(pages: Browser, refused: Company) -> None:
    reader = as_person(pages, refused, "rita", READER)
    seen = reader.get("health/events")
    assert "webhook answered 410" in seen.words
    assert "Send again" not in seen.words
    assert reader.post("health/events/retry", {"event": "all"}).status == 403
