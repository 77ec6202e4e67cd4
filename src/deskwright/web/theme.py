"""Light, dark, or as the system has it: kept in the browser."""

from deskwright.web.cookies import is_local
from deskwright.web.pages import Needs, action
from deskwright.web.view import Answer, View, Went


@action("/theme", Needs.NOBODY)
def choose(view: View) -> Answer:
    wanted = view.form.get("theme")
    back = view.form.get("back")
    return Went(
        back if is_local(back) else "/",
        cookies={"deskwright-theme": wanted if wanted in ("light", "dark") else ""} if view.form_is_ours else {},
    )
