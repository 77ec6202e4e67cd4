"""Where a person likely is, by the languages that their browser asks for: a proposal, never a decision."""

from deskwright.domain.regions import REGION_GROUPS

ANYWHERE = "europeUnion"
"""Where nothing is known."""

# The countries (ISO 3166) that are nearest to a region group.
_NEAREST = {
    "asia": "CN KH LK PH TH VN",
    "australia": "AU",
    "austria": "AT",
    "belgium": "BE",
    "brazil": "BR",
    "canada": "CA",
    "denmark": "DK",
    "europe": "AL BA IS LI MD ME MK RS TR UA",
    "europeUnion": "BG CY CZ EE FI GR HR HU LT LU LV MT PT RO SI SK",
    "france": "FR",
    "germany": "DE",
    "hongKong": "HK",
    "india": "IN",
    "indonesia": "ID",
    "ireland": "IE",
    "israel": "IL",
    "italy": "IT",
    "japan": "JP",
    "kenya": "ET KE NG TZ UG ZA",
    "malaysia": "MY",
    "mexico": "MX",
    "middleEast": "AE BH EG JO KW LB OM QA SA",
    "netherlands": "NL",
    "newZealand": "NZ",
    "norway": "NO",
    "poland": "PL",
    "singapore": "SG",
    "southAmerica": "AR BO CL CO EC PE PY UY VE",
    "southKorea": "KR",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
    "taiwan": "TW",
    "unitedKingdom": "GB",
    "usEast": "US",
}
_GROUP_OF = {country: group for group, countries in _NEAREST.items() for country in countries.split()}
# Languages that come without a country, and where most of those who read them are.
_SPOKEN = (
    "bg-BG cs-CZ da-DK de-DE el-GR en-US es-ES et-EE fi-FI fr-FR he-IL hi-IN hr-HR hu-HU id-ID is-IS it-IT ja-JP ko-KR "
    "lt-LT lv-LV ms-MY nb-NO nl-NL nn-NO no-NO pl-PL pt-PT ro-RO sk-SK sl-SI sr-RS sv-SE th-TH tr-TR uk-UA vi-VN"
)
_COUNTRY_OF = dict(spoken.split("-") for spoken in _SPOKEN.split())
_MOST = 20


def likely_region_group(languages: str, among: "frozenset[str]" = frozenset(REGION_GROUPS)) -> str:
    """The region group meant by an ``Accept-Language`` header, such as ``de-AT,de;q=0.9``: one of `among`.

    The first language that says one counts; where none does it is `ANYWHERE`, or the first of `among` by name.
    """
    for wish in languages[:500].split(",")[:_MOST]:
        language, *parts = wish.partition(";")[0].strip().replace("_", "-").split("-")
        named = next((part.upper() for part in reversed(parts) if len(part) == 2), "")
        group = _GROUP_OF.get(named or _COUNTRY_OF.get(language.lower(), ""), "")
        if group in among:
            return group
    return ANYWHERE if ANYWHERE in among or not among else min(among)
