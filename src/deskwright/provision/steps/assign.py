"""Stage 3, assign: the user gets it. Both steps must succeed; "ready" is never shown before it is."""

from deskwright.guest.actions import AllowSignIn, EnableAccount
from deskwright.provision.context import Done, StepContext
from deskwright.store.secrets import one_time_password


def try_sign_in_path(ctx: StepContext) -> Done:
    """A0: walk the path the user will take until it answers."""
    return Done(output=ctx.providers.compute.try_sign_in_path(ctx.call, ctx.so_far["vmId"]))


def assign_user(ctx: StepContext) -> Done:
    """A1: the user can sign in from here on. The run's end, in the same commit, binds the user to the Cloud PC."""
    may = AllowSignIn(ctx.member)
    if not ctx.local_identity:
        printed = ctx.providers.compute.configure_guest(ctx.call, ctx.so_far["vmId"], (may,))
        return Done(output=printed)
    password = one_time_password()
    actions = (EnableAccount(ctx.account_name, password), may)
    ctx.providers.compute.configure_guest(ctx.call, ctx.so_far["vmId"], actions)
    return Done(output=f"local account {ctx.account_name}, one-time password", secret=password)
