"""Names: what a policy may be called and how a device name comes from its template.

Facts: `reference/windows-365-facts.md` section 1 (template 4-15 characters, ``%RAND:y%`` with y >= 5 required,
``%USERNAME:x%`` optional; letters, digits, hyphen) and the create-provisioning-policies document (the
characters a policy name must not contain).
"""

import re
import unicodedata
from collections.abc import Callable

from deskwright.domain.rules import Refused

FORBIDDEN_IN_POLICY_NAME = '<>&|"^'
DEFAULT_TEMPLATE = "CPC-%USERNAME:5%-%RAND:5%"
_TOKEN = re.compile(r"%(USERNAME|RAND):(\d+)%")
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0/O, 1/I: names are read aloud to help desks


def check_policy_name(name: str) -> str:
    """Return the trimmed name, or raise Refused naming the characters it must not contain."""
    name = name.strip()
    found = [c for c in FORBIDDEN_IN_POLICY_NAME if c in name]
    if not name:
        raise Refused("displayName", name, "a provisioning policy needs a name")
    if found:
        raise Refused("displayName", name, f'must not contain any of < > & | " ^ (found {" ".join(found)})')
    if len(name) > 120:
        raise Refused("displayName", name, "at most 120 characters")
    return name


def check_template(template: str) -> str:
    """Return the template, or raise Refused naming the rule it breaks."""
    field = "cloudPcNamingTemplate"
    random_length = sum(int(n) for kind, n in _TOKEN.findall(template) if kind == "RAND")
    if random_length < 5:
        raise Refused(field, template, "needs %RAND:y% with y of at least 5")
    if sum(1 for kind, _ in _TOKEN.findall(template) if kind == "RAND") > 1:
        raise Refused(field, template, "may hold %RAND:y% only once")
    if any(int(n) == 0 for _, n in _TOKEN.findall(template)):
        raise Refused(field, template, "%USERNAME:x% needs x of at least 1")
    literal = _TOKEN.sub("", template)
    if re.search(r"[^A-Za-z0-9-]", literal):
        raise Refused(field, template, "besides %USERNAME:x% and %RAND:y% only letters, digits and hyphen")
    longest = len(literal) + sum(int(n) for _, n in _TOKEN.findall(template))
    if not 4 <= longest <= 15:
        raise Refused(field, template, f"must give 4 to 15 characters, this gives up to {longest}")
    return template


def device_name(template: str, user_principal_name: str, choose: Callable[[str], str]) -> str:
    """A device name from `template`; `choose` picks one character of a string at random.

    The user's part is reduced to letters and digits: ``zoë.o'hara@x`` gives ``zoeohara``.
    """
    local = unicodedata.normalize("NFKD", user_principal_name.split("@", 1)[0])
    letters = re.sub(r"[^A-Za-z0-9]", "", local) or "user"

    def expand(match: re.Match[str]) -> str:
        length = int(match[2])
        if match[1] == "USERNAME":
            return letters[:length]
        return "".join(choose(_ALPHABET) for _ in range(length))

    return _TOKEN.sub(expand, template)
