"""What `doctor` found."""

from backstay.schemas.base import ApiObject


class CheckOut(ApiObject):
    name: str
    level: str
    message: str
    remedy: str | None


class DoctorOut(ApiObject):
    """What `doctor` found; `ok` is true when nothing is a problem."""

    ok: bool
    checks: list[CheckOut]
