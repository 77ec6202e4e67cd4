"""The fields of a provisioning policy: what was entered, what can be chosen, and what of it breaks a rule."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deskwright.domain.images import GALLERY
from deskwright.domain.naming import DEFAULT_TEMPLATE, check_template
from deskwright.domain.regions import REGION_GROUPS
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import groups, organization, policies, policy_choices, policy_ground, policy_reach, search
from deskwright.operations import sites as sites_
from deskwright.operations.named import Item, as_id
from deskwright.operations.policy_ground import AUTOMATIC, Ground
from deskwright.web.view import View
from deskwright.web.wizard import Check
from deskwright.web.words import plain

HYBRID = "hybridAzureADJoin"
JOINS: Mapping[str, str] = {"azureADJoin": "Entra join", HYBRID: "Hybrid join"}
GENERAL = (
    "displayName",
    "description",
    "domainJoinType",
    "network",
    "regionGroup",
    "regionName",
    "onPremisesConnection",
)
IMAGE = ("image",)
CONFIGURATION = ("cloudPcNamingTemplate", "windowsSetting.locale", "enableSingleSignOn", "localAdminEnabled")
ASSIGNMENTS = ("assignments", "q")
# Those Windows speaks; another one that a policy has is shown, too.
LOCALES = (
    *("ar-SA", "bg-BG", "cs-CZ", "da-DK", "de-DE", "el-GR", "en-AU", "en-CA", "en-GB", "en-US", "es-ES", "es-MX"),
    *("et-EE", "fi-FI", "fr-CA", "fr-FR", "he-IL", "hr-HR", "hu-HU", "it-IT", "ja-JP", "ko-KR", "lt-LT", "lv-LV"),
    *("nb-NO", "nl-NL", "pl-PL", "pt-BR", "pt-PT", "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-RS", "sv-SE", "th-TH"),
    *("tr-TR", "uk-UA", "zh-CN", "zh-TW"),
)
_FEW_GROUPS = 8


@dataclass(frozen=True)
class Entered:
    """A policy as the form has it; where the form says nothing, as it is, or as new ones begin."""

    display_name: str
    description: str
    join_type: str
    network: str
    """``hosted`` or ``connections``."""
    region_group: str
    region: str
    connections: tuple[str, ...]
    image: str
    """``gallery:ID`` or ``device:NAME``."""
    template: str
    locale: str
    single_sign_on: bool
    local_admin: bool

    @property
    def place(self) -> dict[str, Any]:
        if self.network == "connections":
            return {"connections": self.connections}
        return {"region_group": self.region_group, "region": self.region if self.region_group else ""}

    @property
    def settings(self) -> dict[str, Any]:
        """As `policies.create` takes it."""
        kind, _, image = self.image.partition(":")
        return {
            "display_name": self.display_name,
            "description": self.description,
            "join_type": self.join_type,
            **self.place,
            f"{'device' if kind == 'device' else 'gallery'}_image": image or None,
            "naming_template": self.template,
            "locale": self.locale,
            "single_sign_on": self.single_sign_on,
            "local_admin_enabled": self.local_admin,
        }

    def changes(self, before: "Entered") -> dict[str, Any]:
        """As `policies.set_` takes it: only what differs, so that the rest is not asked again."""
        had = before.settings
        found = {name: value for name, value in self.settings.items() if had.get(name) != value}
        if self.place != before.place:
            found |= self.place
        return found


def entered(view: View, policy: Item | None = None) -> Entered:
    """What the form has, over what `policy` has."""
    had = of(policy) if policy else _new(view)
    join = str(view.value("domainJoinType", had.join_type))
    network = "connections" if join == HYBRID else str(view.value("network", had.network))
    return Entered(
        display_name=str(view.value("displayName", had.display_name)),
        description=str(view.value("description", had.description)),
        join_type=join,
        network=network,
        region_group=str(view.value("regionGroup", had.region_group)),
        region=str(view.value("regionName", had.region)) or AUTOMATIC,
        connections=tuple(_connections(view, had)),
        image=str(view.value("image", had.image)),
        template=str(view.value("cloudPcNamingTemplate", had.template)),
        locale=str(view.value("windowsSetting.locale", had.locale)),
        single_sign_on=_flag(view, "enableSingleSignOn", had.single_sign_on),
        local_admin=_flag(view, "localAdminEnabled", had.local_admin),
    )


def _connections(view: View, had: Entered) -> list[str]:
    return view.form.some("onPremisesConnection") if "onPremisesConnection" in view.form else list(had.connections)


def _flag(view: View, name: str, default: bool) -> bool:
    return view.form.flag(name) if name in view.form else default


def _new(view: View) -> Entered:
    with view.reading() as connection:
        locale = organization.language(connection, view.tenant)
    recommended = next(i.id for i in GALLERY.values() if i.recommended)
    places = {s["regionGroup"] for s in sites_.list_(view.database, view.tenant, None, 1000)}
    group = next(iter(places)) if len(places) == 1 else ""
    image = f"gallery:{recommended}"
    return Entered("", "", "azureADJoin", "hosted", group, AUTOMATIC, (), image, DEFAULT_TEMPLATE, locale, True, False)


def of(policy: Item) -> Entered:
    """A policy as its form begins."""
    joins = policy["domainJoinConfigurations"]
    wired = tuple(j["onPremisesConnectionId"] for j in joins if j["onPremisesConnectionId"])
    return Entered(
        display_name=policy["displayName"],
        description=policy["description"],
        join_type=joins[0]["domainJoinType"],
        network="connections" if wired else "hosted",
        region_group=joins[0].get("regionGroup") or "",
        region=joins[0].get("regionName") or AUTOMATIC,
        connections=wired,
        image=f"{'gallery' if policy['imageType'] == 'gallery' else 'device'}:{policy['imageId']}",
        template=policy["cloudPcNamingTemplate"],
        locale=policy["windowsSetting"]["locale"],
        single_sign_on=policy["enableSingleSignOn"],
        local_admin=policy["localAdminEnabled"],
    )


# --- rules -----------------------------------------------------------------------------------------------


def checks(find: Callable[[View], Item | None]) -> dict[str, Check]:
    """By field, for a new policy or for the one that `find` finds."""

    def name(view: View) -> None:
        policy = find(view)
        besides = policy["id"] if policy else None
        with view.reading() as connection:
            policies.check_name(connection, view.tenant, entered(view, policy).display_name, besides=besides)

    def place(view: View) -> None:
        policy = find(view)
        now = entered(view, policy)
        if policy is None or now.place != of(policy).place or now.join_type != of(policy).join_type:
            ground(view, now, policy)

    def image(view: View) -> None:
        policy = find(view)
        now = entered(view, policy)
        if policy and now.image == of(policy).image and now.place == of(policy).place:
            return
        try:
            here = ground(view, now, policy)
        except Refused:
            return  # told beside the network's fields
        kind, _, name = now.image.partition(":")
        try:
            with view.reading() as connection:
                wanted: dict[str, str | None] = {"gallery": None, "device": None, kind: name}
                policy_ground.image(connection, view.tenant, here, gallery=wanted["gallery"], device=wanted["device"])
        except NotFound as missing:
            raise Refused("image", name, missing.rule, remedy=missing.remedy) from None

    def template(view: View) -> None:
        check_template(entered(view, find(view)).template)

    def locale(view: View) -> None:
        policy_ground.check_locale(entered(view, find(view)).locale)

    return {
        "displayName": name,
        "domainJoinType": place,
        "image": image,
        "cloudPcNamingTemplate": template,
        "windowsSetting.locale": locale,
    }


def check_assignments(view: View) -> None:
    for group in view.form.some("assignments"):
        try:
            groups.show(view.database, view.tenant, group)
        except NotFound as missing:
            raise Refused("assignments", group, "is no group of this tenant", remedy=missing.remedy) from None


def ground(view: View, now: Entered, policy: Item | None) -> Ground:
    """Where its Cloud PCs would go. Raises Refused."""
    if now.network == "connections" and not now.connections:
        rule = "needs a network connection" if now.join_type == HYBRID else "choose a connection, or the hosted network"
        raise Refused("onPremisesConnection", None, rule, remedy="Choose at least one that is healthy")
    had = of(policy).connections if policy else ()
    with view.reading() as connection:
        return policy_ground.ground(
            connection,
            view.tenant,
            join_type=now.join_type,
            connections=now.connections if now.network == "connections" else (),
            region_group=now.place.get("region_group", ""),
            region=now.place.get("region", ""),
            known=frozenset(i for name in had if (i := as_id(name))),
        )


# --- what can be chosen ------------------------------------------------------------------------------------


def place_values(view: View, policy: Item | None = None) -> dict[str, Any]:
    """Of the template ``policy_place``: regions where the tenant has sites, and connections of the join type."""
    now = entered(view, policy)
    sites = sites_.list_(view.database, view.tenant, None, 1000)
    had = frozenset(of(policy).connections) if policy else frozenset[str]()
    with view.reading() as connection:
        known = policy_choices.connections(connection, view.tenant, had)
    here = [site for site in sites if site["regionGroup"] == now.region_group]
    regions = dict.fromkeys([*sorted(s["regionName"] for s in here), *sorted(s["name"] for s in here)])
    places = sorted({(REGION_GROUPS[s["regionGroup"]].display_name, s["regionGroup"]) for s in sites})
    mine = [k for k in known if k["connectionType"] == now.join_type]
    return {
        "now": now,
        "joins": JOINS,
        "region_groups": [("", "Choose one")] * (not now.region_group) + [(value, text) for text, value in places],
        "regions": [(AUTOMATIC, "Automatic: the first with room"), *((r, r) for r in regions)],
        "connections": mine,
        "options": [(k["id"], k["displayName"], k["why"]) for k in mine],
        "slots": min(len(mine), max(len(now.connections) + 1, 2)),
    }


def image_values(view: View, policy: Item | None = None) -> dict[str, Any]:
    now = entered(view, policy)
    try:
        here: Ground | None = ground(view, now, policy)
    except Refused:
        here = None
    with view.reading() as connection:
        found = policy_choices.images(connection, view.tenant, here)
    own = [image for image in found if image["value"].startswith("device:")]
    return {"now": now, "own_images": own, "gallery_images": [image for image in found if image not in own]}


def configuration_values(view: View, policy: Item | None = None) -> dict[str, Any]:
    now = entered(view, policy)
    locales = [(locale, locale) for locale in sorted({*LOCALES, now.locale})]
    return {"now": now, "locales": locales, **names(view, now.template)}


def names(view: View, template: str) -> dict[str, Any]:
    """Of the template ``policy_names``: examples, or the rule that a naming template breaks."""
    try:
        with view.reading() as connection:
            return {"examples": policies.example_names(connection, view.tenant, template), "broken": ""}
    except Refused as refused:
        return {"examples": [], "broken": refused.rule}


def group_values(view: View, policy: Item | None = None) -> dict[str, Any]:
    """Of the template ``policy_groups``: the chosen ones first, then those found by what one types."""
    held = [a["groupId"] for a in policy["assignments"]] if policy else []
    chosen = view.form.some("assignments") if "assignments" in view.form or view.form.fields else held
    found = search.groups(view.database, view.tenant, view.form.get("q"), None, _FEW_GROUPS + len(chosen))
    others = [g["id"] for g in found if g["id"] not in chosen][:_FEW_GROUPS]
    with view.database.engine.connect() as connection:
        shown = policy_reach.groups(connection, view.tenant, [*_known_ids(chosen), *others])
    return {"shown": shown, "chosen": chosen, "wanted": view.form.get("q"), "held": held}


def _known_ids(chosen: list[str]) -> list[str]:
    return [c for c in chosen if as_id(c)]


# --- how it is told ------------------------------------------------------------------------------------------


LABELS: Mapping[str, str] = {
    "displayName": "Name",
    "description": "Description",
    "domainJoinType": "Join type",
    "domainJoinConfigurations": "Join type and network",
    "network": "Network",
    "imageType": "Kind of image",
    "imageId": "Image",
    "image": "Image",
    "cloudPcNamingTemplate": "Device names",
    "windowsSetting": "Language and region",
    "locale": "Language and region",
    "enableSingleSignOn": "Single sign-on",
    "localAdminEnabled": "Local administrator",
}


def told(name: str, value: Any, policy: Item) -> str:
    """A setting of `policy` for people."""
    if name == "domainJoinConfigurations":
        wired = [j["onPremisesConnection"] for j in value if j["onPremisesConnectionId"]]
        return f"{JOINS[value[0]['domainJoinType']]}, {', else '.join(wired) or hosted(policy)}"
    if name == "imageId":
        return image_name(policy)
    if name == "windowsSetting":
        return str(value["locale"])
    return plain(value)


def image_name(policy: Item) -> str:
    found = GALLERY.get(policy["imageId"]) if policy["imageType"] == "gallery" else None
    return found.display_name if found else str(policy["imageId"])


def hosted(policy: Item) -> str:
    """Region group and region of the Microsoft-hosted kind of network; "" with connections."""
    join = policy["domainJoinConfigurations"][0]
    if join["onPremisesConnectionId"]:
        return ""
    group = REGION_GROUPS[join["regionGroup"]].display_name
    return f"{group}, {'region automatic' if join['regionName'] == AUTOMATIC else join['regionName']}"


def command(verb: str, name: str, given: Mapping[str, Any], after: Item | None) -> str:
    """The CLI line that does the same; `after`: the policy as it would be, which knows its connections' names."""
    options: list[str] = []
    joins = after["domainJoinConfigurations"] if after else []
    wired = tuple(j["onPremisesConnection"] for j in joins if j["onPremisesConnectionId"])
    given = {**given, "connections": wired} if "connections" in given else given
    for key, option in (
        ("display_name", "--display-name"),
        ("description", "--description"),
        ("join_type", "--join-type"),
        ("connections", "--connection"),
        ("region_group", "--region-group"),
        ("region", "--region"),
        ("gallery_image", "--gallery-image"),
        ("device_image", "--device-image"),
        ("naming_template", "--naming-template"),
        ("locale", "--locale"),
    ):
        value = given.get(key)
        for one in value if isinstance(value, tuple) else [value]:
            if one and not (verb == "create" and key == "display_name"):
                options += [option, str(one)]
    for key, option in (("single_sign_on", "single-sign-on"), ("local_admin_enabled", "local-admin")):
        if key in given:
            options.append(f"--{'' if given[key] else 'no-'}{option}")
    if verb == "create" and after:
        options += [part for a in after["assignments"] for part in ("--group", a["groupDisplayName"])]
    return shlex.join(["deskwright", "policy", verb, name, *options])
