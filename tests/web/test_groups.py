"""Groups in the admin center."""

from tests.company import Company
from tests.web.conftest import Browser


def test_a_group_is_made_filled_and_deleted(pages: Browser, company: Company) -> None:
    company.user("adele")
    made = pages.post("groups/new", {"displayName": "Sales", "kind": "security"})
    assert made.status == 200
    assert "The group Sales is made" in made.words
    filled = pages.post(f"{made.url.partition('contoso.com/')[2]}/members/add", {"user": "adele@contoso.com"})
    assert "adele@contoso.com added" in filled.words
    assert "1 person" in filled.words
    assert "Sales" in pages.get("groups?q=sal").words
    gone = pages.post("groups/Sales/delete")
    assert "The group Sales is deleted" in gone.words


def test_bad_input_is_told_beside_its_field_and_kept(pages: Browser, company: Company) -> None:
    company.group("Sales")
    again = pages.post("groups/new", {"displayName": "sales"})
    assert again.status == 422
    assert again.field("displayName") == "sales"
    assert 'href="#f-displayName"' in again.text
    missing = pages.post("groups/Sales/members/add", {"user": "nobody@contoso.com"})
    assert missing.status == 422
    assert "nobody@contoso.com" in missing.words
