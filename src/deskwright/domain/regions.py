"""Region groups: where a Microsoft-hosted kind of network can be, in the words of the Graph API.

The names are the values of Graph's ``cloudPcRegionGroup`` (v1.0 and beta) without those that name no place:
``default``, ``automatic`` and ``unknownFutureValue``. Regions are called as clouds call them; where no cloud
has one for a group, the simulator's has a name of that style. Each region belongs to one group, so that a
region alone says where it is.
"""

from dataclasses import dataclass

from deskwright.domain.rules import Refused


@dataclass(frozen=True)
class RegionGroup:
    name: str
    """The value of Graph's cloudPcRegionGroup."""
    display_name: str
    regions: tuple[str, ...]


REGION_GROUPS: dict[str, RegionGroup] = {
    name: RegionGroup(name, display_name, regions)
    for name, display_name, regions in (
        ("asia", "Asia", ("southeastasia", "eastasia")),
        ("australasia", "Australasia", ("australasiaeast",)),
        ("australia", "Australia", ("australiaeast",)),
        ("austria", "Austria", ("austriaeast",)),
        ("belgium", "Belgium", ("belgiumcentral",)),
        ("brazil", "Brazil", ("brazilsouth",)),
        ("canada", "Canada", ("canadacentral",)),
        ("denmark", "Denmark", ("denmarkeast",)),
        ("euap", "Early access (EUAP)", ("centraluseuap", "eastus2euap")),
        ("europe", "Europe", ("europecentral",)),
        ("europeUnion", "European Union", ("westeurope", "northeurope")),
        ("france", "France", ("francecentral",)),
        ("germany", "Germany", ("germanywestcentral",)),
        ("hongKong", "Hong Kong", ("hongkongcentral",)),
        ("india", "India", ("centralindia",)),
        ("indonesia", "Indonesia", ("indonesiacentral",)),
        ("ireland", "Ireland", ("irelandeast",)),
        ("israel", "Israel", ("israelcentral",)),
        ("italy", "Italy", ("italynorth",)),
        ("japan", "Japan", ("japaneast",)),
        ("kenya", "Kenya", ("kenyacentral",)),
        ("malaysia", "Malaysia", ("malaysiawest",)),
        ("mexico", "Mexico", ("mexicocentral",)),
        ("middleEast", "Middle East", ("uaenorth",)),
        ("netherlands", "Netherlands", ("netherlandscentral",)),
        ("newZealand", "New Zealand", ("newzealandnorth",)),
        ("norway", "Norway", ("norwayeast",)),
        ("poland", "Poland", ("polandcentral",)),
        ("singapore", "Singapore", ("singaporecentral",)),
        ("southAmerica", "South America", ("chilecentral",)),
        ("southKorea", "South Korea", ("koreacentral",)),
        ("spain", "Spain", ("spaincentral",)),
        ("sweden", "Sweden", ("swedencentral",)),
        ("switzerland", "Switzerland", ("switzerlandnorth",)),
        ("taiwan", "Taiwan", ("taiwannorth",)),
        ("unitedKingdom", "United Kingdom", ("uksouth",)),
        ("usCentral", "US Central", ("centralus", "southcentralus")),
        ("usEast", "US East", ("eastus", "eastus2")),
        ("usGovernment", "US Government", ("usgovvirginia", "usgovarizona")),
        ("usGovernmentDOD", "US Government DoD", ("usdodeast",)),
        ("usWest", "US West", ("westus2", "westus3")),
    )
}


def check_region_group(value: str) -> str:
    """Return the region group's name, or raise Refused (regionNotSupported) listing those that exist."""
    if value not in REGION_GROUPS:
        raise Refused("regionGroup", value, f"must be one of {', '.join(REGION_GROUPS)}", code="regionNotSupported")
    return value


def default_sites() -> list[tuple[str, str, str]]:
    """(site name, region, region group) of the simulated sites of a tenant without any: one per region group.

    A site is called as its region, so that a document may name either.
    """
    return [(group.regions[0], group.regions[0], group.name) for group in REGION_GROUPS.values()]
