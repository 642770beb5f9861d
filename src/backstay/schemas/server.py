"""The address of a server."""

from backstay.schemas.base import ApiObject


class ServeOut(ApiObject):
    """The address at which a server listens. `token` is null if users sign in with JSON Web Tokens."""

    url: str
    token: str | None
