"""What the routes of one application work with."""

from dataclasses import dataclass

from fastapi import Request

from holdfast.app import Holdfast, Services
from holdfast.generate.allowed import Allowed
from holdfast.server.auth.authenticator import Authenticator
from holdfast.server.auth.local import LocalToken
from holdfast.server.backing_up import BackingUp
from holdfast.server.events.hub import Hub
from holdfast.server.limits import Places
from holdfast.server.metrics import Metrics
from holdfast.server.settings import ServerSettings
from holdfast.server.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that an application is made of."""

    settings: ServerSettings
    hold: Holdfast
    authenticator: Authenticator
    local: LocalToken | None
    """The local token, where it is what lets people in."""
    allowed: Allowed
    """What requests may have run."""
    supervisor: Supervisor
    backing_up: BackingUp
    hub: Hub
    metrics: Metrics
    downloads: Places
    uploads: Places


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def services_of(request: Request) -> Services:
    """Return the services of whoever the request is from."""
    return parts_of(request).hold.for_owner(request.state.owner)
