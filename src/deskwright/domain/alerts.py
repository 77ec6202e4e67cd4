"""What one can be alerted of, in one table, and the pure rule that says whether a count is an alert.

The names are those of the Graph API's ``alertRuleTemplate`` and ``conditionCategory``. Only what Deskwright can really
see is here: nothing about Frontline, or connections of people.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from uuid import UUID, uuid5


class Template(StrEnum):
    PROVISIONING = "cloudPcProvisionScenario"
    IMAGE = "cloudPcImageUploadScenario"
    CONNECTION = "cloudPcOnPremiseNetworkConnectionCheckScenario"
    GRACE = "cloudPcInGracePeriodScenario"


@dataclass(frozen=True)
class Scenario:
    template: Template
    category: str
    """The condition's category."""
    name: str
    description: str
    severity: str
    threshold: int


SCENARIOS: dict[Template, Scenario] = {
    s.template: s
    for s in (
        Scenario(
            Template.PROVISIONING,
            "provisionFailures",
            "Provisioning failure",
            "Cloud PCs whose provisioning has failed after all its attempts",
            "warning",
            1,
        ),
        Scenario(
            Template.IMAGE,
            "imageUploadFailures",
            "Image failure",
            "Device images that could not be made",
            "warning",
            1,
        ),
        Scenario(
            Template.CONNECTION,
            "azureNetworkConnectionCheckFailures",
            "Network connection failure",
            "Network connections whose last health check failed",
            "critical",
            1,
        ),
        Scenario(
            Template.GRACE,
            "cloudPcInGracePeriod",
            "Cloud PCs in grace period",
            "Cloud PCs that will be removed when their grace period ends",
            "warning",
            1,
        ),
    )
}

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "greaterOrEqual": ge,
    "equal": eq,
    "greater": gt,
    "less": lt,
    "lessOrEqual": le,
    "notEqual": ne,
}
AGGREGATIONS = ("count", "percentage", "affectedCloudPcCount", "affectedCloudPcPercentage")
PERCENTAGES = ("percentage", "affectedCloudPcPercentage")
SEVERITIES = ("unknown", "informational", "warning", "critical")

_NAMESPACE = UUID("1e7a3c52-5c0e-4f4e-9d7c-3b1f6f0e9a11")


def system_rule_id(tenant: UUID, template: Template) -> UUID:
    """The id of the rule that every tenant has for a template; it is the same for as long as the tenant exists."""
    return uuid5(_NAMESPACE, f"{tenant}/{template}")


def system_conditions(scenario: Scenario) -> list[dict[str, Any]]:
    return [
        {
            "relationshipType": "and",
            "conditionCategory": scenario.category,
            "aggregation": "count",
            "operator": "greaterOrEqual",
            "thresholdValue": str(scenario.threshold),
        }
    ]


def holds(conditions: Sequence[Mapping[str, Any]], affected: int, of: int) -> bool:
    """Whether `affected` out of `of` objects are an alert. Conditions are joined from left to right.

    Nothing affected is never an alert, whatever "less than" would say.
    """
    if not affected:
        return False
    result = True
    for n, condition in enumerate(conditions):
        value = 100 * affected / of if condition["aggregation"] in PERCENTAGES else affected
        this = OPERATORS[condition["operator"]](value, float(condition["thresholdValue"]))
        either = n > 0 and condition.get("relationshipType") == "or"
        result = this if n == 0 else (result or this) if either else (result and this)
    return result
