"""Pages that make conversations again: the plan with a choice of what makes them, then the page of the job."""

from typing import Annotated

from fastapi import Form, Query, Request
from starlette.responses import Response

from backstay.errors import BackstayError, ConfirmationNeeded
from backstay.limits import MAX_IDS
from backstay.schemas import RegenerationPlanOut
from backstay.server.api.common import OwnerServices, State
from backstay.server.regenerations import RegenerationChoice, RequestedRegeneration
from backstay.server.remedies import full_message
from backstay.server.routers import Router
from backstay.server.web.conversations import FormSelection, gone_page
from backstay.server.web.forms import FormId, ShortText, redirect_to
from backstay.server.web.page_templates import render_page

router = Router(include_in_schema=False, prefix="/conversations")


class RegenerationForm(FormSelection):
    """The selection, and what makes the conversations again: a recipe or processor of the settings, or a model."""

    writer: ShortText = None
    """`recipe:NAME`, `processor:NAME`; none for the recipe or the function of each job."""
    model: ShortText = None
    confirm: ShortText = None
    """The function that the jobs may call, which the plan has named."""

    @property
    def choice(self) -> RegenerationChoice:
        kind, _, name = (self.writer or "").partition(":")
        return RegenerationChoice(
            recipe=name if kind == "recipe" else None,
            processor=name if kind == "processor" else None,
            model=self.model if not kind else None,
            confirm=self.confirm,
        )


class ConfirmedRegenerationForm(RegenerationForm):
    """The confirmed plan."""

    digest: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")]


@router.post("/regenerate-plan")
async def plan_regeneration(
    request: Request, services: OwnerServices, state: State, form: Annotated[RegenerationForm, Form()]
) -> Response:
    """Show the plan, or why there is none, with a choice of what makes the conversations again."""
    gone = await services.conversations.missing(form.to_selection(), limit=MAX_IDS)
    remaining = form.without(gone)
    if gone and not remaining.selected_ids:
        return gone_page(request, gone, remaining)
    plan, problem, confirm = None, None, None
    try:
        requested = RequestedRegeneration(state, services, remaining.to_selection(), form.choice)
        plan = RegenerationPlanOut.from_plan(await requested.plan())
    except ConfirmationNeeded as error:
        confirm = error.context["processor"]
    except BackstayError as error:
        problem = full_message(error)
    allowed = state.allowed
    return render_page(
        request,
        "regenerate.html",
        plan=plan,
        problem=problem,
        confirm=confirm,
        gone=len(gone),
        selection=remaining,
        choices={
            **{f"recipe:{name}": f"{name} ({allowed.recipes[name].model})" for name in sorted(allowed.recipes)},
            **{f"processor:{name}": name for name in sorted(allowed.processors)},
        },
    )


@router.post("/regenerate")
async def regenerate(
    request: Request, services: OwnerServices, state: State, form: Annotated[ConfirmedRegenerationForm, Form()]
) -> Response:
    """Back up, create the jobs and start them; then show the first job, or the list if there are several."""
    requested = RequestedRegeneration(state, services, form.to_selection(), form.choice)
    started = await requested.start(form.digest)
    if len(started.job_ids) == 1:
        return redirect_to(request, "/batches/one", id=started.job_ids[0])
    return redirect_to(request, "/batches")


@router.post("/regenerate-undo")
async def undo(request: Request, services: OwnerServices, backup_id: FormId) -> Response:
    """Put back the conversations in a backup that were made again; then show the list."""
    await services.regenerations.undo(backup_id)
    return redirect_to(request, "/conversations", putBack="yes")
