"""The error catalogue: complete, coherent, and no remedy of Microsoft's document is missing."""

import re
import shlex

import pytest

from deskwright.errors import (
    CATALOGUE,
    DOCUMENTS,
    STAGES,
    STEPS,
    VALUES,
    Effect,
    Offer,
    codes_for,
    entry,
    explain,
)

# What every run can say (provision.run fills these in): causes and remedies never show a question mark.
ALWAYS_KNOWN = {"user", "plan", "policy", "cloudPc", "device", "site", "step"}

# SPEC section 3, by the document's title.
TITLES = {
    "Service connection point misconfigured": ("scpMisconfigured",),
    "Network connection isn't healthy": ("canaryCheckUnpass",),
    "Disk allocation error": ("diskAllocationError",),
    "Domain join failed": ("joinDomainFailed",),
    "Hybrid join failed": ("hybridAADJoinFailed",),
    "Intune enrolment failed": ("intuneEnrollFailed",),
    "License not found": ("licenseNotFound",),
    "Local administrator permissions error": ("localAdminError",),
    "Teams optimization error": ("teamsOptimizationError",),
    "Not enough IP addresses": ("noEnoughIpAddress",),
    "Provisioning policy not found": ("provisioningPolicyNotFound",),
    "Request disallowed by policy": ("requestDisallowedByPolicy",),
    "Start menu power icons error": ("startMenuPowerIconsError",),
    "Region not listed": ("regionNotSupported",),
    "Time zone redirection error": ("timeZoneRedirectionError",),
    "User not found": ("userNotFound",),
    "Windows reset error": ("windowsResetError",),
    "High-risk ports": ("highRiskPortsError",),
    "Other failures": (
        "endpointCheckFailed",
        "capacityUnavailable",
        "imageDiskSizeOverMatch",
        "imageNotSupportedFail",
        "imageNotSupportedWarning",
        "imageNotSupportTPM",
        "CpuOrRamNotFitImageOS",
        "deploymentTimeout",
        "internalServerError",
    ),
}

# The service's public codes (graph-api.md section 4, and its domainJoin_* from the list for hosted machines).
PUBLIC_CODES = [
    "intuneEnrollFailed",
    "intuneEnroll_BlockedByEnrollmentRestriction",
    "intuneEnroll_BlockedByGroupPolicyOrConfigMgr",
    "intuneEnroll_InvalidIntuneSubscriptionOrLicense",
    "intuneEnroll_NetworkConnectivityIssue",
    "intuneEnroll_MdmDiscoveryUrlMisconfigured",
    "intuneEnroll_DelayedEffectivenessOfIntuneLicense",
    "intuneEnroll_TenantUnderAccountMove",
    "joinDomainFailed",
    "domainJoin_NetworkConnectivityIssue",
    "domainJoin_AccountQuotaExceeded",
    "domainJoin_AccountLockedOut",
    "domainJoin_AccountNameOrPasswordIncorrect",
    "domainJoin_DomainNotExistOrCouldNotBeContacted",
    "domainJoin_AlreadyCloudDomainJoined",
    "domainJoin_AccountDisabled",
    "hybridAADJoinFailed",
    "noEnoughIpAddress",
    "userNotFound",
    "AzureADUser_ResourceNotFound",
    "userNotAvailableInLocalAD",
    "licenseNotFound",
    "requestDisallowedByPolicy",
    "canaryCheckUnpass",
    "imageDiskSizeOverMatch",
    "CpuOrRamNotFitImageOS",
    "imageNotSupportTPM",
    "imageNotSupportedWarning",
    "imageNotSupportedFail",
    "endpointCheckFailed",
    "scriptDownloadFailed",
    "cmdAgentMSIDownloadFailed",
    "rdAgentPackageDownloadFailed",
    "CreateNic_ReadOnlyDisabledSubscription",
    "CreateNic_ResourceGroupNotFound",
    "CreateNic_ArmAuthorizationFailed",
    "internalError",
    "internalServerError",
    "deploymentTimeout",
]

# Each heading of "Troubleshoot provisioning errors", the code it is about, and how many remedies stand under
# it, those in its introduction and its bullets included.
DOCUMENT = {
    "Microsoft Entra ID service connection point misconfigured": ("scpMisconfigured", 3),
    "Azure network connection isn't healthy": ("canaryCheckUnpass", 2),
    "Disk allocation error": ("diskAllocationError", 1),
    "Domain join failed": ("joinDomainFailed", 5),
    "Microsoft Entra hybrid join failed": ("hybridAADJoinFailed", 6),
    "Intune enrollment failed": ("intuneEnrollFailed", 5),
    "License not found": ("licenseNotFound", 1),
    "Local administrator permissions error": ("localAdminError", 2),
    "Microsoft Teams optimization error": ("teamsOptimizationError", 1),
    "Not enough IP addresses available": ("noEnoughIpAddress", 3),
    "Provisioning policy not found": ("provisioningPolicyNotFound", 2),
    "Request disallowed by policy": ("requestDisallowedByPolicy", 2),
    "Start menu power icons error": ("startMenuPowerIconsError", 3),
    "Supported Azure regions for Cloud PCs not listed in the provisioning user interface": (
        "regionNotSupported",
        1,
    ),
    "Time zone redirection error": ("timeZoneRedirectionError", 2),
    "User not found": ("userNotFound", 1),
    "Windows reset error": ("windowsResetError", 1),
    "Blocking High Risk Ports: One or more high risk ports couldn't be disabled": ("highRiskPortsError", 5),
    "Other provisioning failures": ("endpointCheckFailed", 1),
}

# A word or two that each remedy has to have said; what it is about, not how it is put.
SAYS = {
    "scp.configure": ("Entra Connect", "forest"),
    "scp.reachable": ("network",),
    "scp.confirm": ("every forest",),
    "connection.healthy": ("health",),
    "connection.retry": ("retry",),
    "again.configure": ("again", "repair"),
    "join.values": ("domain", "organizational unit", "password"),
    "join.permission": ("create computer accounts",),
    "join.controller": ("domain controller", "subnet"),
    "join.needs": ("JsonADDomainExtension",),
    "trial.join": ("trial join", "virtual machine"),
    "hybrid.prerequisite": ("configured",),
    "hybrid.sync": ("30 minutes", "60"),
    "hybrid.replication": ("five hours",),
    "hybrid.federation": ("AD FS",),
    "hybrid.unit": ("organizational unit",),
    "hybrid.in-time": ("before the wait is over",),
    "enrol.endpoints": ("endpoint",),
    "enrol.restrictions": ("restriction", "corporate Windows", "default", "custom"),
    "enrol.tenant": ("active and healthy",),
    "enrol.co-management": ("client push", "Configuration Manager", "through Intune"),
    "trial.enrol": ("test device",),
    "licence.assign": ("valid licence",),
    "admin.user-setting": ("new user setting",),
    "addresses.plan": ("more addresses",),
    "addresses.check": ("free", "three attempts"),
    "addresses.wait": ("given back",),
    "policy.there": ("exists",),
    "policy.assigned": ("right group",),
    "disallowed.exempt": ("rule", "network"),
    "disallowed.look": ("Policy blade",),
    "power.hide-shutdown": ("HideShutDown",),
    "power.hide-restart": ("HideRestart",),
    "region.request": ("support request",),
    "time-zone.policy": ("group policy",),
    "user.valid": ("valid account",),
    "ports.opened": ("Intune", "by default"),
    "ports.override": ("overrides",),
    "ports.policy": ("firewall policy",),
    "ports.by-hand": ("local firewall", "11211"),
    "endpoints.open": ("required endpoint", "gateway"),
}


def test_every_code_of_the_specification_is_there() -> None:
    for title, codes in TITLES.items():
        assert {e.code for e in CATALOGUE.values() if e.document_title == title} == set(codes)


@pytest.mark.parametrize("code", PUBLIC_CODES)
def test_every_public_code_is_there(code: str) -> None:
    assert entry(code).code == code


def test_every_heading_of_the_document_is_there() -> None:
    assert set(DOCUMENTS) == set(DOCUMENT)


@pytest.mark.parametrize("heading", DOCUMENT)
def test_every_remedy_of_the_document_is_there(heading: str) -> None:
    code, count = DOCUMENT[heading]
    ids = DOCUMENTS[heading]
    assert len(ids) == len(set(ids)) == count
    given = dict(zip(CATALOGUE[code].remedy_ids, CATALOGUE[code].remedies, strict=True))
    for remedy_id in ids:
        assert remedy_id in given, f"{code} lacks {remedy_id}"
        for words in SAYS[remedy_id]:
            assert words in given[remedy_id]


def test_other_failures_all_lead_to_the_required_endpoints_or_say_better() -> None:
    for e in CATALOGUE.values():
        if e.document_title == "Other failures" and not e.code.startswith(("image", "Cpu", "capacity")):
            assert "endpoints.open" in e.remedy_ids


@pytest.mark.parametrize("code", CATALOGUE)
def test_entry_is_coherent(code: str) -> None:
    e = CATALOGUE[code]
    assert e.stage in STAGES
    assert set(e.steps) <= set(STEPS)
    assert e.title
    assert e.message.endswith(".")
    assert e.remedies
    assert e.actions
    assert len(set(e.remedy_ids)) == len(e.remedy_ids)
    assert set(e.values) <= set(VALUES)
    for text in (e.cause, *e.remedies):
        assert set(re.findall(r"\{(\w+)\}", text)) <= ALWAYS_KNOWN
        assert text.endswith(".")
    match e.effect:
        case Effect.WARN:
            assert all(step.startswith("P") for step in e.steps)
        case Effect.REFUSE:
            assert not e.steps
        case Effect.RETRY | Effect.BLOCK:
            assert e.steps
            assert not any(step.startswith("P") for step in e.steps)
        case Effect.STOP:
            assert e.steps
    # Retry starts a provisioning run; a Cloud PC with warnings is repaired or reprovisioned (V5).
    assert (Offer.RETRY in e.actions) <= (e.stage in {"core", "assign"})
    assert (e.stage == "configure") == (Offer.REPAIR in e.actions)


def test_every_step_can_fail_with_a_code_of_its_own_effect() -> None:
    for step in STEPS:
        effects = {CATALOGUE[c].effect for c in codes_for(step)} - {Effect.STOP}
        assert effects
        assert (effects == {Effect.WARN}) == step.startswith("P")


def test_every_value_is_used_somewhere() -> None:
    assert {v for e in CATALOGUE.values() for v in e.values} == set(VALUES)


def test_explain_fills_in_the_actual_values() -> None:
    said = explain("noEnoughIpAddress", {"subnet": "10.0.0.0/28", "connection": "Head office", "needed": 1})
    assert said.message == "Subnet 10.0.0.0/28 of connection Head office has no free address; 1 is needed."
    assert said.retry_helps
    assert "deskwright connection show 'Head office'" in [a.command for a in said.actions]


def test_a_reason_is_part_of_the_sentence() -> None:
    values = {"device": "CPC-1", "reason": "the token was used twice."}
    assert explain("intuneEnrollFailed", values).message == (
        "CPC-1 could not be enrolled in device management: the token was used twice."
    )
    assert explain("intuneEnrollFailed", {"device": "CPC-1"}).message.endswith("device management.")


@pytest.mark.parametrize("code", CATALOGUE)
def test_explain_never_fails_for_want_of_a_value(code: str) -> None:
    bare = explain(code, {})
    assert "{" not in bare.message
    assert ("?" in bare.message) == bool(set(re.findall(r"\{(\w+)\}", CATALOGUE[code].message)) - {"reason"})
    everything = explain(code, dict.fromkeys(VALUES, "x y{z}"))
    assert "?" not in " ".join((everything.message, everything.cause, *everything.remedies))


@pytest.mark.parametrize("offer", Offer)
def test_commands_survive_a_shell(offer: Offer) -> None:
    awkward = "Bob's; rm -rf / $(x)"
    values = dict.fromkeys(VALUES, awkward)
    commands = {a.command for c in CATALOGUE for a in explain(c, values).actions if a.id == offer.value}
    assert len(commands) == 1, "every offer is made by some error"
    words = shlex.split(commands.pop())
    assert words[0] == "deskwright"
    assert words.count(awkward) == offer.command.count("{")


def test_missing_values_stay_placeholders_in_commands() -> None:
    assert [a.command for a in explain("userNotFound", {}).actions] == ["deskwright explain USER"]


def test_an_unknown_code_is_an_internal_error_that_keeps_its_name() -> None:
    said = explain("flooded", {"reason": "water in the cellar", "step": "Create VM"})
    assert said.code == "internalServerError"
    assert said.message == "Something unexpected happened in step Create VM: flooded: water in the cellar."
