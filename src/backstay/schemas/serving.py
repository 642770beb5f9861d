"""Where a server listens."""

from backstay.schemas.base import ApiObject


class ServeOut(ApiObject):
    """`token` is null where JSON Web Tokens let people in."""

    url: str
    token: str | None
