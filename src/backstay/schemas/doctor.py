"""The report of `doctor`."""

from backstay.schemas.base import ApiObject


class CheckOut(ApiObject):
    name: str
    level: str
    message: str
    remedy: str | None


class DoctorOut(ApiObject):
    """The report of `doctor`. `ok` is true if no check found a problem."""

    ok: bool
    checks: list[CheckOut]
