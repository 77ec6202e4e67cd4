"""What a policy's change would do is told before it is done (R3, R4), by the verdicts that then come true."""

import pytest

from deskwright.domain.rules import Refused
from deskwright.operations import assignments, audit, groups, policies, policy_choices, policy_preview, policy_reach
from deskwright.operations.policy_preview import LISTED, People, Preview
from tests.company import PLAN, Company

SETTINGS = {"display_name": "New", "region_group": "europeUnion", "gallery_image": "debian-12-desktop"}


def who(people: People) -> set[str]:
    return {p.user_principal_name.partition("@")[0] for p in people.named}


def of_create(company: Company, *groups: str, **settings: object) -> Preview:
    given = {**SETTINGS, **settings, "groups": groups}
    return policy_preview.of_create(company.world, company.tenant, "test", **given)


def of_assignments(company: Company, policy: str, *groups: str) -> Preview:
    return policy_preview.of_assignments(company.world, company.tenant, "test", policy, groups)


def finance(company: Company) -> None:
    """Beside the basics: a group where miriam is licensed, patti is not, and adele, who is in Sales too."""
    company.basics("adele", "alex")
    company.group("Finance")
    for name in ("miriam", "patti", "adele"):
        if name not in company.ids:
            company.user(name)
        company.join(name, "Finance")
    company.license(PLAN, "miriam")
    company.settle()


def test_a_new_policy_tells_who_gets_one_who_is_served_already_and_who_has_no_licence_e4_e5(company: Company) -> None:
    finance(company)
    seen = of_create(company, "Finance")
    assert who(seen.gets) == {"miriam"}
    assert seen.by_plan == [(PLAN, 1)]
    assert who(seen.elsewhere) == {"adele"}
    assert seen.elsewhere.named[0].note.startswith("Desktops wins: assigned to Sales first (number 1")
    assert who(seen.unlicensed) == {"patti"}
    assert seen.loses.count == 0
    assert [p["displayName"] for p in policies.list_(company.world.database, company.tenant)] == ["Desktops"]
    assert company.sql("SELECT count(*) FROM touched_users WHERE tenant_id = :tenant") == [(0,)]


def test_what_was_foretold_comes_true(company: Company) -> None:
    finance(company)
    seen = of_create(company, "Finance")
    given = {**SETTINGS, "groups": ["Finance"]}
    policies.create(company.world.database, company.tenant, "test", **given)  # type: ignore[arg-type]
    company.settle()
    made = {pc.user_id for pc in company.pcs() if pc.policy_name == "New"}
    assert made == {company.ids[name] for name in who(seen.gets)}


def test_seats_that_run_out_say_how_many_wait_e6_r4(company: Company) -> None:
    finance(company)
    company.seats(PLAN, 3)
    company.license(PLAN, "patti")
    (seats,) = of_create(company, "Finance").seats
    assert (seats.free, seats.new, seats.queue) == (1, 2, 1)


def test_addresses_are_three_for_each_cloud_pc_r4(company: Company) -> None:
    finance(company)
    company.connection("HQ", subnet="10.20.0.0/29")
    company.license(PLAN, "patti")
    hybrid = {"join_type": "hybridAzureADJoin", "connections": ["HQ"], "region_group": ""}
    (addresses,) = of_create(company, "Finance", **hybrid).addresses
    assert addresses.may_need == 6
    assert addresses.free is not None
    assert addresses.short == max(6 - addresses.free, 0)
    assert addresses.used


def test_a_region_without_room_is_told_r4(company: Company) -> None:
    company.site("full", compute={"capacity": {"vCpuCount": 1, "ramInGB": 1, "storageInGB": 1}})
    company.plan()
    company.group()
    company.license_group(PLAN, "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    (room,) = of_create(company, "Sales").room
    assert (room.site, room.plan, room.fits) == ("full", PLAN, False)


def test_taking_a_group_away_names_who_loses_e8(company: Company) -> None:
    finance(company)
    seen = of_assignments(company, "Desktops")
    assert seen.removed == ["Sales"]
    assert who(seen.loses) == {"adele", "alex"}
    assert {p.note for p in seen.loses.named} == {"goes into the grace period"}
    company.settle()
    assert company.status("adele") == "provisioned"


def test_a_group_that_comes_back_in_time_leaves_cloud_pcs_untouched_e8(company: Company) -> None:
    finance(company)
    company.unassign("Desktops", "Sales")
    company.settle()
    assert who(of_assignments(company, "Desktops", "Sales").returns) == {"adele", "alex"}


def test_an_edit_touches_only_those_that_wait_e7(company: Company) -> None:
    company.basics("adele", "alex")
    company.seats(PLAN, 1)
    company.settle()
    seen = policy_preview.of_edit(company.world, company.tenant, "test", "Desktops", display_name="Better")
    assert (seen.existing, seen.waits.count, seen.loses.count) == (1, 1, 0)
    assert seen.changed == [("displayName", "Desktops", "Better")]
    assert policies.show(company.world.database, company.tenant, "Desktops")["displayName"] == "Desktops"


def test_many_are_counted_and_the_first_named(company: Company) -> None:
    company.basics()
    company.group("Many")
    company.license_group(PLAN, "Many")
    company.sql(
        "INSERT INTO users (tenant_id, user_principal_name, display_name) SELECT :tenant, 'u' || n || '@contoso.com', "
        "'u' || n FROM generate_series(1, 120) n"
    )
    company.sql(
        "INSERT INTO memberships (group_id, user_id, tenant_id) SELECT :g, id, :tenant FROM users "
        "WHERE tenant_id = :tenant",
        g=company.ids["Many"],
    )
    seen = of_create(company, "Many")
    assert (seen.gets.count, len(seen.gets.named), seen.reached) == (120, LISTED, 120)


def test_a_refusal_is_the_operations_own(company: Company) -> None:
    company.basics()
    with pytest.raises(Refused, match="already has a provisioning policy of that name"):
        of_create(company, display_name="desktops")


def test_earlier_assignments_come_back_with_their_numbers_r13_e4(company: Company) -> None:
    finance(company)
    database, tenant = company.world.database, company.tenant
    for name in ("Gone", "Later"):
        company.group(name)
    assignments.set_assignments(database, tenant, "t", "Desktops", ["Sales", "Finance", "Gone"])
    assignments.set_assignments(database, tenant, "t", "Desktops", ["Later", "Sales"])
    event = audit.list_(database, tenant, resource="Desktops")[0]["id"]
    # Sales leaves and comes back under a later number; one group does not exist any more.
    assignments.unassign(database, tenant, "t", "Desktops", ["Sales"], confirmed=True)
    assignments.assign(database, tenant, "t", "Desktops", ["Sales"])
    groups.delete(database, tenant, "t", "Gone")
    back = assignments.restore(database, tenant, "t", "Desktops", event, confirmed=True)
    assert [(a["groupDisplayName"], a["number"]) for a in back["assignments"]] == [("Sales", 1), ("Finance", 2)]


def test_only_an_event_of_that_policys_assignments_can_be_put_back(company: Company) -> None:
    company.basics()
    groups.set_(company.world.database, company.tenant, "t", "Sales", display_name="Selling")
    event = audit.list_(company.world.database, company.tenant)[0]["id"]
    with pytest.raises(Refused, match="does not change the assignments of Desktops"):
        assignments.restore(company.world.database, company.tenant, "t", "Desktops", event)


def test_overlaps_count_people_and_say_for_how_many_each_wins_e4(company: Company) -> None:
    finance(company)
    company.policy("Other")
    company.assign("Other", "Finance")
    with company.world.database.engine.connect() as connection:
        found = policy_reach.overlaps(connection, company.tenant, [str(company.ids["Other"])])
    (overlap,) = found[str(company.ids["Other"])]
    assert (overlap.other, overlap.people, overlap.won, overlap.lost) == ("Desktops", 1, 0, 1)


def test_choices_say_why_something_cannot_be_taken(company: Company) -> None:
    company.basics()
    company.connection("HQ", health="failed")
    company.sql(
        "INSERT INTO connection_checks (connection_id, check_id, tenant_id, status) VALUES (:k, 'domainJoin', :tenant, "
        "'failed')",
        k=company.ids["HQ"],
    )
    with company.world.database.engine.connect() as connection:
        (hq,) = policy_choices.connections(connection, company.tenant)
        known = policy_choices.connections(connection, company.tenant, frozenset({hq["id"]}))
        images = policy_choices.images(connection, company.tenant, None)
    assert hq["why"].startswith("unhealthy")
    assert known[0]["why"] == ""
    assert any(i["status"] == "notSupported" and "expired" in i["why"] for i in images)
