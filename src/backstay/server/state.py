"""The components of one application, and how routes get them."""

from dataclasses import dataclass

from fastapi import Request

from backstay.app import Backstay, Services
from backstay.coordination.cursors import Cursors
from backstay.generate.allowlist import AllowedEntry
from backstay.server.auth.authentication import Authenticator
from backstay.server.auth.local_token import LocalToken
from backstay.server.background_backups import BackgroundBackups
from backstay.server.events.hub import Hub
from backstay.server.metrics import Metrics
from backstay.server.problems import unauthorized
from backstay.server.request_limits import ConcurrencyLimit
from backstay.server.resume_permission import ResumePermission
from backstay.server.settings import ServerSettings
from backstay.server.supervisor import Supervisor
from backstay.server.temporary_folder import TemporaryFolder


@dataclass(frozen=True, slots=True)
class AppState:
    """The components of one application."""

    settings: ServerSettings
    backstay: Backstay
    authenticator: Authenticator
    local: LocalToken | None
    """The local token, if users sign in with it."""
    allowed: AllowedEntry
    """The recipes and processors that requests may name."""
    permission: ResumePermission
    supervisor: Supervisor
    background_backups: BackgroundBackups
    hub: Hub
    metrics: Metrics
    downloads: ConcurrencyLimit
    uploads: ConcurrencyLimit
    files: TemporaryFolder


def state_of(request: Request) -> AppState:
    state: AppState = request.app.state.app_state
    return state


def services_of(request: Request) -> Services:
    """Return the services of the request's owner. Raises Problem if the request is not authenticated."""
    if request.state.owner is None:
        raise unauthorized()
    state = state_of(request)
    # A local token is the same for everyone, but the subject of a JSON Web Token is the user.
    reviewer = request.state.owner if state.local is None else None
    return state.backstay.for_owner(request.state.owner, reviewer=reviewer)


async def cursors_of(request: Request) -> Cursors:
    """Return the cursors of the request's owner."""
    return await state_of(request).backstay.cursors(request.state.owner)
