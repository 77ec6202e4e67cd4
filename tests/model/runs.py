"""One run as SPEC sections 2 and 4 tell it: three attempts, steps in order, guards, what each attempt makes and leaves.

Written from SPEC's text; nothing here is imported from the product.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CORE = ("C1", "C2", "C3", "C4", "C5", "C6")
CONFIGURE = ("P1", "P2", "P3", "P4", "P5", "P6", "P7")
ASSIGN = ("A0", "A1")
STEPS = (*CORE, *CONFIGURE, *ASSIGN)
ATTEMPTS = 3  # V1: an attempt that fails is retried twice
HOUR = 3600
CLEAN_UP_DELAY = 3 * HOUR  # L2
# What each step makes that goes at once with its attempt, and what stays until the clean-up (L2).
AT_ONCE = {"C1": ("capacity",), "C2": ("vm", "disk")}
LATER = {"C3": ("nic",), "C4": ("device",), "C5": ("managedDevice",)}
# How long a step that never ends may take, by the published table of steps.
DEADLINES = {"C2": HOUR, "C5": HOUR, "A0": 20 * 60}

NEVER = "deploymentTimeout"
"""The fault by which an operation never ends; every other code fails at once."""


@dataclass(frozen=True)
class Fault:
    step: str
    code: str
    user: str | None = None
    attempts: tuple[int, ...] = ()

    def strikes(self, step: str, user: str, attempt: int) -> bool:
        mine = self.user in (None, user) and (not self.attempts or attempt in self.attempts)
        return mine and self.step == step


@dataclass
class Leftover:
    """What an ended attempt made and has not given back yet."""

    kinds: Counter[str]
    release_at: int


@dataclass
class Outside:
    """What a run meets: the time, the faults, the health of connections; and what ended attempts left."""

    clock: int = 0
    faults: list[Fault] = field(default_factory=list)
    health: dict[str, bool] = field(default_factory=dict)
    leftovers: list[Leftover] = field(default_factory=list)

    def struck(self, step: str, user: str, attempt: int) -> set[str]:
        return {f.code for f in self.faults if f.strikes(step, user, attempt)}

    def let_go(self, made: Counter[str]) -> None:
        """L2: the machine at once, the rest about three hours later."""
        at_once = {kind for kinds in AT_ONCE.values() for kind in kinds}
        later = Counter({kind: n for kind, n in made.items() if kind not in at_once and n})
        if later:
            self.leftovers.append(Leftover(later, self.clock + CLEAN_UP_DELAY))

    def clean_up(self) -> None:
        self.leftovers = [left for left in self.leftovers if left.release_at > self.clock]

    def usable(self, connections: Sequence[str]) -> bool:
        """Whether a policy of these connections has somewhere to go (V3)."""
        return not connections or any(self.health[name] for name in connections)


PROVISIONED, FAILED, WAITS, HANGS, KILLED = "provisioned", "failed", "waits for a connection", "hangs", "killed"


@dataclass
class Run:
    """A run under way: which attempt, which step is next, what the attempt has made."""

    user: str
    policy: int
    connections: tuple[str, ...]
    attempt: int = 1
    connection: str | None = None
    next: int = 0
    opened: bool = False
    made: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    hangs_until: int | None = None
    died: bool = False
    """Its worker was killed, so somebody else looks at it at once, and not only when its wait is over."""

    def carry(self, outside: Outside, stop: tuple[str, str] | None = None) -> str:
        """Go on until the run ends, waits or hangs; or dies at `stop`, a step and one of before, inside, after."""
        ended = self._resume(outside)
        if ended:
            return ended
        while True:
            if not self.opened:
                if not outside.usable(self.connections):
                    return WAITS
                healthy = [name for name in self.connections if outside.health[name]]
                self.connection = healthy[0] if healthy else None
                self.opened = True
            ended = self._attempt(outside, stop)
            if ended:
                self.died = ended == KILLED
                return ended

    def _resume(self, outside: Outside) -> str | None:
        """Whoever goes on with the run looks at its ground first, and at how long its step has taken."""
        overdue = self.hangs_until is not None and outside.clock >= self.hangs_until
        waits = self.hangs_until is not None and not overdue
        if waits and not self.died:
            return HANGS
        self.died = False
        if self.opened and self.connection is not None and not outside.health[self.connection]:
            return self._fail(outside)  # V3: a refresh failed while the run was under way
        if overdue:
            return self._fail(outside)
        return HANGS if waits else None

    def _attempt(self, outside: Outside, stop: tuple[str, str] | None) -> str | None:
        while self.next < len(STEPS):
            step = STEPS[self.next]
            if stop == (step, "before"):
                return KILLED
            codes = outside.struck(step, self.user, self.attempt)
            fails, never = codes - {NEVER}, NEVER in codes
            if fails and step in CONFIGURE:
                if stop == (step, "after"):
                    return KILLED
                self.warnings.append(step)
            elif fails:
                return KILLED if stop == (step, "after") else self._fail(outside)
            else:
                self._make(step)
                if never:
                    self.hangs_until = outside.clock + DEADLINES[step]
                    return KILLED if stop == (step, "after") else HANGS
                if stop in ((step, "inside"), (step, "after")):
                    return KILLED
            self.next += 1
        return PROVISIONED

    def _make(self, step: str) -> None:
        for kind in (*AT_ONCE.get(step, ()), *LATER.get(step, ())):
            self.made[kind] = 1  # asked again with its key it is the same object (V6)
        if step == "C4" and self.connection is not None:
            self.made["computerAccount"] = 1  # hybrid join; later disabled, never deleted (L3)

    def _fail(self, outside: Outside) -> str | None:
        """The attempt has failed; FAILED where it was the last (V1, V2)."""
        outside.let_go(self.made)
        self.made, self.warnings = Counter(), []
        self.next, self.opened, self.hangs_until, self.connection = 0, False, None, None
        if self.attempt == ATTEMPTS:
            return FAILED
        self.attempt += 1
        return None


def repaired(warnings: Sequence[str], user: str, outside: Outside) -> list[str]:
    """R12: the steps that left a warning are run again, in one attempt; those that fail again leave it again."""
    return [step for step in warnings if outside.struck(step, user, 1)]


def counted(all_made: Sequence[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for made in all_made:
        total.update(made)
    return +total
