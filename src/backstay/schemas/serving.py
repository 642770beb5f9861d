"""Where a server listens."""

from backstay.schemas.base import Object


class ServeOut(Object):
    """`token` is null where JSON Web Tokens let people in."""

    url: str
    token: str | None
