"""The address of a server, and the sessions of its users."""

from backstay.schemas.base import ApiObject, Moment


class ServeOut(ApiObject):
    """The address at which a server listens. `token` is null if users sign in with JSON Web Tokens."""

    url: str
    token: str | None


class SessionOut(ApiObject):
    """How a request is signed in."""

    owner: str
    ends_at: Moment | None
    """When it ends, unless it is renewed; null with the local token."""
    has_cookie: bool
    """Whether the browser has a session cookie, with which the pages open."""
