"""Wizards: several pages that are one form. What was entered travels in hidden fields, so that nothing is kept on the
server, nothing is lost on the way back, and all of it works without JavaScript.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.fernet import InvalidToken

from deskwright.domain.rules import Refused
from deskwright.web.view import Answer, Shown, View, show

Check = Callable[[View], None]
"""Raises Refused where what was entered breaks a rule."""

_OWN = ("csrf", "step", "go", "_field", "confirmed")
_SEALED = "_sealed"


@dataclass(frozen=True)
class Step:
    id: str
    title: str
    fields: tuple[str, ...]
    """Names of the fields on this page."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """By the field that an error belongs to."""


@dataclass(frozen=True)
class Wizard:
    steps: tuple[Step, ...]
    """The last one is the review: it has no fields, and its button does it."""
    template: str
    """Is given `wizard`, the `step` to show, `carried` (pairs for hidden fields), and what `more` says."""
    more: Callable[[View, Step], Mapping[str, object]]
    create: Callable[[View], Answer]
    secrets: frozenset[str] = frozenset()
    """Fields that travel sealed."""

    @property
    def titles(self) -> list[tuple[str, str]]:
        return [(step.id, step.title) for step in self.steps]

    def shown(self, view: View) -> Answer:
        """GET: the first page; what the query string holds is filled in."""
        return self._show(view, self.steps[0])

    def go(self, view: View) -> Answer:
        """POST: to the next page if this one is right, back in any case, or do it."""
        ids = [step.id for step in self.steps]
        now = ids.index(view.form.get("step")) if view.form.get("step") in ids else 0
        wanted = view.form.get("go", "next")
        if wanted == "back":
            return self._show(view, self.steps[max(now - 1, 0)])
        if wanted in ids[:now]:
            return self._show(view, self.steps[ids.index(wanted)])
        if wanted == "create" and now == len(ids) - 1:
            for step in self.steps:
                if self._wrong(view, step):
                    return self._show(view, step)
            try:
                return self.create(view)
            except Refused as refused:
                if refused.code == "confirmationRequired":
                    raise
                view.refuse(refused)
                return self._show(view, self._step_of(refused.field))
        if self._wrong(view, self.steps[now]):
            return self._show(view, self.steps[now])
        return self._show(view, self.steps[min(now + 1, len(ids) - 1)])

    def check(self, view: View) -> Answer:
        """POST from a field while one types: its error line."""
        name = view.form.get("_field")
        for step in self.steps:
            if name in step.checks:
                _run(view, step.checks[name], only=name)
        return show("parts/error.html", name=name)

    def secret(self, view: View, name: str) -> str:
        """A sealed field's value."""
        given = dict(view.form.fields).get(name, "")
        if given:
            return given
        try:
            plain = view.world.secrets.decrypt(view.form.get(name + _SEALED).encode())
        except InvalidToken:
            return ""
        mark = _mark(view, name)
        return plain.removeprefix(mark) if plain.startswith(mark) else ""

    def _wrong(self, view: View, step: Step) -> bool:
        for check in step.checks.values():
            _run(view, check)
        return bool(view.errors)

    def _show(self, view: View, step: Step) -> Answer:
        here = {*step.fields, *_OWN, *(n + _SEALED for n in self.secrets)}
        carried = [(n, v) for n, v in view.form.fields if n not in here and n not in self.secrets]
        carried += [
            (name + _SEALED, view.world.secrets.encrypt(_mark(view, name) + value).decode())
            for name in sorted(self.secrets)
            if (value := self.secret(view, name))
        ]
        values = {"wizard": self, "step": step, "carried": carried, **self.more(view, step)}
        return Shown(self.template, values, 422 if view.errors else 200)

    def _step_of(self, name: str) -> Step:
        return next((s for s in self.steps if name in s.fields), self.steps[-1])


def _mark(view: View, name: str) -> str:
    """What a sealed field begins with: it counts as this field, in this tenant, for this person, and as nothing else
    that is sealed with the same key. A person chooses what is sealed here, so without it they could seal anything."""
    return f"field {name} of {view.tenant.id} by {view.who.user_id}:"


def _run(view: View, check: Check, only: str = "") -> None:
    try:
        check(view)
    except Refused as refused:
        if not only or refused.field == only:
            view.refuse(refused)
