"""Condense Microsoft's published metadata to the JSON beside this: ``python -m ... condense FOLDER``.

The folder holds ``v1.0.xml`` and ``beta.xml`` (CSDL) and ``operations-*.json``. Run by whoever follows a newer version
of the API; the service reads only the result.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from deskwright.graph.contract import VERSIONS

_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
# The reference documents no call that writes these sets; the generator emits some all the same.
_READ_ONLY = re.compile(
    r"/(galleryImages|servicePlans|supportedRegions|auditEvents|frontLineServicePlans|snapshots|licenseDetails)(/\{id\})?$"
    r"|/cloudPCs(/\{id\})?$|/crossCloudGovernmentOrganizationMapping$|/subscribedSkus(/\{id\})?$|^/organization$"
    r"|^/deviceManagement(/virtualEndpoint|/monitoring)?$|/reports$|/report$"
)


def condense(folder: Path, version: str) -> dict[str, Any]:
    tree = ElementTree.parse(folder / f"{version}.xml")  # noqa: S314 - a file its maintainer has fetched
    types: dict[str, Any] = {}
    enumerations: dict[str, Any] = {}
    for schema in tree.iter(f"{_EDM}Schema"):
        prefix = schema.get("Namespace", "").removeprefix("microsoft.graph").lstrip(".")
        for enum in schema.iter(f"{_EDM}EnumType"):
            enumerations[_full(prefix, enum)] = [m.get("Name") for m in enum.iter(f"{_EDM}Member")]
        for kind in ("EntityType", "ComplexType"):
            for found in schema.iter(f"{_EDM}{kind}"):
                types[_full(prefix, found)] = {
                    "base": _short(found.get("BaseType", "")) or None,
                    "entity": kind == "EntityType",
                    "properties": {p.get("Name"): _said(p) for p in found.findall(f"{_EDM}Property")},
                    "navigation": {p.get("Name"): _said(p) for p in found.findall(f"{_EDM}NavigationProperty")},
                }
    if "entity" in types:
        types["entity"]["properties"] = {"id": "String!"}
    told = json.loads((folder / f"operations-{version}.json").read_text())
    return {"types": types, "enumerations": enumerations, "operations": [_operation(o) for o in told]}


def _full(prefix: str, element: ElementTree.Element) -> str:
    return f"{prefix}.{element.get('Name')}" if prefix else str(element.get("Name"))


def _short(name: str) -> str:
    return re.sub(r"\b(microsoft\.graph\.|graph\.|Edm\.)", "", name)


def _said(p: ElementTree.Element) -> str:
    notes = [a.get("String", "") for a in p.findall(f"{_EDM}Annotation") if a.get("Term") == "contract.flags"]
    nullable = "!" if p.get("Nullable") == "false" else ""
    select_only = " selectOnly" if any("selectOnly" in n for n in notes) else ""
    return f"{_short(p.get('Type', ''))}{nullable}{select_only}"


def _operation(told: dict[str, Any]) -> dict[str, Any]:
    path = re.sub(r"\{[^}']*\}", "{id}", told["path"])
    generated = told["method"] in ("POST", "PATCH", "DELETE") and bool(_READ_ONLY.search(path)) and not told["see"]
    returns = _short(told["returns"]) if isinstance(told["returns"], str) else None
    return {"method": told["method"], "path": path, "returns": returns, "generated": generated}


def main() -> None:
    folder, here = Path(sys.argv[1]), Path(__file__).parent
    for version in VERSIONS:
        text = json.dumps(condense(folder, version), indent=1)
        (here / f"{version}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
