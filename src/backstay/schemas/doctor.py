"""What `doctor` found."""

from backstay.schemas.base import Object


class CheckOut(Object):
    name: str
    level: str
    message: str
    remedy: str | None


class DoctorOut(Object):
    """What `doctor` found; `ok` is true when nothing is a problem."""

    ok: bool
    checks: list[CheckOut]
