"""People in the admin center: the list, one person with everything explained (R2), and what is done to them."""

import re

import pytest

from deskwright.domain.rules import Refused
from deskwright.identity import sign_in
from deskwright.operations import roles, users
from tests.company import PLAN, Company
from tests.web.conftest import Browser, Page, as_person

HOSTILE = "<script>alert(1)</script>"


def upn(name: str) -> str:
    return f"{name}@contoso.com"


def explained(page: Page) -> str:
    """The words of the explanation alone."""
    found = re.search(r'<section id="explained".*?</section>', page.text, re.S)
    assert found
    return Page(page.status, found.group(), page.url, page.headers).words


def test_people_are_listed_searched_and_paged(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.settle()
    for number in range(60):
        company.user(f"zoe{number:02}")
    first = pages.get("users")
    assert "adele@contoso.com" in first.words
    assert "zoe59" not in first.words
    (following,) = [link for link in first.links() if "after=" in link]
    assert "zoe59@contoso.com" in pages.get(following).words
    found = pages.fragment("users?q=ADE")
    assert "adele@contoso.com adele Enabled 1 1" in found.words
    assert "zoe" not in found.words
    assert "<html" not in found.text
    assert "Nobody is called that" in pages.get("users?q=xx").words


def test_a_new_person_is_made_and_mistakes_are_told_beside_the_field(pages: Browser, company: Company) -> None:
    wrong = pages.post("users/new", {"userPrincipalName": "adele", "displayName": HOSTILE})
    assert wrong.status == 422
    assert 'href="#f-userPrincipalName"' in wrong.text
    assert wrong.field("displayName") == HOSTILE
    made = pages.post("users/new", {"userPrincipalName": upn("adele"), "displayName": HOSTILE})
    assert made.status == 200
    assert HOSTILE not in made.text
    assert HOSTILE in made.words
    assert "A licence, and a group that a provisioning policy is assigned to" in explained(made)


def test_e4_the_winner_comes_first_and_the_ignored_policy_says_why(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.group("Pilot")
    company.policy("Pilot desktops")
    company.assign("Pilot desktops", "Pilot")
    company.join("adele", "Pilot")
    company.settle()
    told = explained(pages.get(f"users/{upn('adele')}"))
    assert "Desktops wins: its assignment to group Sales is the first (number 1)." in told
    assert "Pilot desktops is ignored: it was assigned later, to group Pilot (number 2)." in told
    assert told.index("wins") < told.index("is ignored")
    assert "Provisioned" in told
    assert "It stays as long as licence and policy do." in told


def test_e5_what_is_missing_is_said(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.user("lee")
    company.license(PLAN, "lee")
    company.group("Workshop")
    company.user("alex")
    company.policy("Benches")
    company.assign("Benches", "Workshop")
    company.join("alex", "Workshop")
    company.settle()
    lee = explained(pages.get(f"users/{upn('lee')}"))
    assert "Policy none reaches them" in lee
    assert "Not provisioned" in lee
    assert "Starts by itself when a policy is assigned" in lee
    alex = explained(pages.get(f"users/{upn('alex')}"))
    assert "Licence none" in alex
    assert "Policy Benches" in alex
    assert "What is missing. A licence." in alex


def test_e6_who_waits_sees_the_place_in_the_queue(pages: Browser, company: Company) -> None:
    company.basics("adele", "zoe")
    company.seats(PLAN, 1)
    company.settle()
    assert "place 1 in the queue" in explained(pages.get(f"users/{upn('zoe')}"))


def test_e8_what_was_lost_and_when_it_goes_is_said(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales", confirmed=True)
    company.settle()
    told = explained(pages.get(f"users/{upn('adele')}"))
    assert "In grace period" in told
    assert "Licence and policy lost." in told
    assert "It goes when the grace period ends" in told
    assert "in 6 d 23 h" in told or "in 7 d" in told


def test_the_explanation_renews_itself(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.settle()
    at = f"users/{company.ids['adele']}"
    whole = pages.get(at)
    assert f'hx-get="{pages.at(at)}" hx-trigger="live from:body' in whole.text
    part = pages.fragment(at)
    assert part.text.strip().startswith('<section id="explained"')
    assert explained(part) == explained(whole)


def test_e1_disabling_takes_nothing_away(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.settle()
    off = pages.post(f"users/{upn('adele')}/account", {"accountEnabled": "false"})
    company.settle()
    assert "The account is disabled" in off.words
    assert company.status("adele") == "provisioned"
    on = pages.post(f"users/{upn('adele')}/account", {"accountEnabled": "true"})
    assert "may sign in again" in on.words


def test_licence_and_group_bring_a_cloud_pc(pages: Browser, company: Company) -> None:
    company.basics()
    company.user("adele")
    company.group("Plain")
    company.assign("Desktops", "Plain")
    at = f"users/{company.ids['adele']}"
    assert "seats in use" in pages.get(at).words
    pages.post(f"{at}/licences/add", {"servicePlan": company.ids[PLAN]})
    joined = pages.post(f"{at}/groups/add", {"group": "plain"})
    assert "Put into Plain." in joined.words
    company.settle()
    assert company.status("adele") == "provisioned"
    assert f'<option value="{company.ids[PLAN]}"' not in pages.get(at).text
    pages.post(f"{at}/licences/remove", {"servicePlan": company.ids[PLAN]})
    pages.post(f"{at}/groups/remove", {"group": company.ids["Plain"]})
    company.settle()
    assert company.status("adele") == "inGracePeriod"
    wrong = pages.post(f"{at}/groups/add", {"group": "Nowhere"})
    assert wrong.status == 422
    assert wrong.field("group") == "Nowhere"


def test_a_deleted_person_is_found_and_restored(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.settle()
    assert "1 Cloud PC hangs on it" in pages.get(f"users/{upn('adele')}/delete").words
    gone = pages.post(f"users/{upn('adele')}/delete")
    company.settle()
    assert "can be restored" in gone.words
    assert "adele" not in pages.get("users").words
    assert "adele@contoso.com" in pages.get("users?deleted=true").words
    assert "User lost." in explained(pages.get(f"users/{company.ids['adele']}"))
    back = pages.post(f"users/{company.ids['adele']}/restore")
    company.settle()
    assert "is back, with groups and licences" in back.words
    assert company.status("adele") == "provisioned"


def test_a_one_time_password_is_shown_once_and_works(pages: Browser, company: Company) -> None:
    company.user("adele")
    shown = pages.post(f"users/{upn('adele')}/password", {"kind": "once"})
    (password,) = re.findall(r"<code>(\w{4}-\w{4}-\w{4}-\w{4})</code>", shown.text)
    assert shown.headers["cache-control"] == "no-store"
    who = sign_in.sign_in(company.world.database, company.tenant.id, upn("adele"), password)
    assert isinstance(who, sign_in.SignedIn)
    assert who.must_change
    assert password not in pages.get(f"users/{upn('adele')}").text
    short = pages.post(f"users/{upn('adele')}/password", {"kind": "chosen", "password": " short "})
    assert short.status == 422
    assert "Must have 12 to 256 characters, it has 7." in short.words
    assert short.field("password") == ""


def test_r16_an_invitation_is_a_link_that_is_shown_once(pages: Browser, company: Company) -> None:
    company.user("adele")
    shown = pages.post(f"users/{upn('adele')}/invite")
    assert "/sign-in/link/" in shown.text
    again = pages.get(f"users/{upn('adele')}")
    assert "/sign-in/link/" not in again.text
    assert "Invited by link" in again.words


def test_a_reader_sees_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.basics("adele")
    company.settle()
    reader = as_person(pages, company, "rita")
    seen = reader.get(f"users/{upn('adele')}")
    assert "wins" in explained(seen)
    assert "<form method" not in seen.text.partition("<main")[2]
    for what in ("account", "password", "invite", "delete", "restore", "edit", "groups/add", "licences/remove"):
        assert reader.post(f"users/{upn('adele')}/{what}").status == 403, what
    assert reader.post("users/new", {"userPrincipalName": upn("new")}).status == 403


def test_another_tenants_person_is_not_found(pages: Browser, company: Company) -> None:
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('fabrikam.com') RETURNING id")
    ((stranger,),) = company.sql(
        "INSERT INTO users (tenant_id, user_principal_name, display_name) VALUES (:other, 'x@fabrikam.com', 'x') "
        "RETURNING id",
        other=other,
    )
    assert pages.get(f"users/{stranger}").status == 404
    assert pages.get(f"users/{stranger}/delete").status == 404
    assert pages.post(f"users/{stranger}/invite").status == 404
    assert company.sql("SELECT count(*) FROM sign_in_links")[0].count == 0


@pytest.mark.parametrize("way", ["disable", "delete"])
def test_the_last_administrator_does_not_lock_the_tenant_up(pages: Browser, company: Company, way: str) -> None:
    at = f"users/{upn('maria')}"
    done = pages.post(f"{at}/account", {"accountEnabled": "false"}) if way == "disable" else pages.post(f"{at}/delete")
    assert done.status == 422
    assert "is the last administrator of contoso.com" in done.words
    database, tenant = company.world.database, company.tenant
    with pytest.raises(Refused, match="last administrator"):
        users.delete(database, tenant, upn("maria"), upn("maria"))
    company.user("other")
    roles.assign(database, tenant, "test", "administrator", upn("other"))
    assert users.delete(database, tenant, upn("maria"), upn("maria"))["deletedDateTime"]
