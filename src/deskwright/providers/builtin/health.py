"""What a connection's checks find of the built-in directory and of the built-in device management."""

from collections.abc import Mapping
from typing import Any

from deskwright.checks.table import checks_of
from deskwright.providers.contract import Answer, Endpoint

_NO_DOMAINS = "this site's directory is the built-in one, which has no domains"


class BuiltinDirectoryHealth:
    """There is no domain to look at, so no hybrid join either."""

    checks = checks_of("directory")

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        if check_id == "adDomainJoin":
            mend = "for hybrid join the site must say directory: {kind: activedirectory}"
            return "failed", "adJoinCheckUnknownError", f"{_NO_DOMAINS}; {mend}"
        return "informational", None, f"not looked at: {_NO_DOMAINS}"

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        return []


class BuiltinManagementHealth:
    checks = checks_of("management")

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        return "passed", None, "the built-in device management enrols every Cloud PC and restricts none"

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        return []  # a machine is spoken to through its host
