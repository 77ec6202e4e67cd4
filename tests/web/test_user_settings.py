"""User settings in the admin center: in the order in which they win, and where they meet."""

from tests.company import Company
from tests.web.conftest import Browser, as_person

FREQUENCY = "restorePointSetting.frequencyInHours"


def test_a_user_setting_is_made_changed_and_deleted(pages: Browser, company: Company) -> None:
    company.group("Sales")
    wrong = pages.post("user-settings/new", {"displayName": "Power users", "group": "Nowhere", "resetEnabled": "true"})
    assert wrong.status == 422
    assert wrong.field("group") == "Nowhere"
    assert 'name="resetEnabled" value="true" checked' in wrong.text
    entered = {"displayName": "Power users", "group": "Sales", "resetEnabled": ["false", "true"], FREQUENCY: "6"}
    made = pages.post("user-settings/new", entered)
    assert "Power users is made" in made.words
    at = made.url.partition("contoso.com/")[2]
    listed = pages.get("user-settings").words
    assert "Power users no yes no every 6 h Sales" in listed
    changed = {"displayName": "Power users", "localAdminEnabled": ["false", "true"], "resetEnabled": "false"}
    saved = pages.post(f"{at}/edit", {**changed, FREQUENCY: "5"})
    assert saved.status == 422
    assert "must be one of: 4, 6, 12, 16, 24" in saved.words
    assert "Saved." in pages.post(f"{at}/edit", {**changed, FREQUENCY: "4"}).words
    assert "Power users yes no no every 4 h Sales" in pages.get("user-settings").words
    company.group("Pilot")
    assert "Assigned to Pilot." in pages.post(f"{at}/assign", {"group": "Pilot"}).words
    pages.post(f"{at}/unassign", {"group": company.ids["Sales"]})
    assert "every 4 h Pilot" in pages.get("user-settings").words
    assert "is deleted" in pages.post(f"{at}/delete").words
    assert "No user settings yet" in pages.get("user-settings").words


def test_the_most_recently_created_wins_and_the_page_says_for_whom(pages: Browser, company: Company) -> None:
    for group in ("Sales", "Pilot"):
        company.group(group)
    for name in ("adele", "lee"):
        company.user(name)
        company.join(name, "Sales")
    company.join("adele", "Pilot")
    company.user_setting("Old", "Sales", local_admin=False)
    company.user_setting("New", "Pilot", local_admin=True)
    listed = pages.get("user-settings").words
    assert listed.index("New yes") < listed.index("Old no")
    assert "For 1 person, New wins and this one is ignored" in pages.get("user-settings/Old").words
    assert "For 1 person, this one wins over Old" in pages.get("user-settings/New").words
    adele = pages.get("users/adele@contoso.com").words
    assert "New by group Pilot" in adele
    assert "Old is ignored: it was created earlier." in adele
    assert "Old by group Sales" in pages.get("users/lee@contoso.com").words


def test_a_reader_sees_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.group("Sales")
    company.user_setting("Old", "Sales", local_admin=True)
    reader = as_person(pages, company, "rita")
    seen = reader.get("user-settings/Old")
    assert "Local administrator yes" in seen.words
    assert "<form method" not in seen.text.partition("<main")[2]
    for what in ("edit", "assign", "unassign", "delete"):
        assert reader.post(f"user-settings/Old/{what}", {"displayName": "x"}).status == 403
