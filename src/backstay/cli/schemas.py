"""The JSON objects, loaded on first use, since a command without `--json` starts twice as fast without them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.schemas import *  # noqa: F403  # all of them, and no second list
else:

    def __getattr__(name: str) -> Any:
        from backstay import schemas

        return getattr(schemas, name)
