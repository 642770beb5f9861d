"""The JSON objects, loaded when the first of them is needed: a command without `--json` starts twice as fast."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.schemas import *  # noqa: F403  # all of them, and no second list
else:

    def __getattr__(name: str) -> Any:
        from backstay import schemas

        return getattr(schemas, name)
