"""Structured logs: an event's name, and its context as fields.

They go through Python's own `logging` under the name `backstay`, which is silent until a program, such as our command
line, gives it a handler. No prompt, answer or key is ever logged.
"""

import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

logging.getLogger("backstay").addHandler(logging.NullHandler())


def get_logger(name: str) -> "BoundLogger":
    """Return the logger of that name; nothing global is configured by it."""
    return cast("BoundLogger", _Later(name))


class _Later:
    """Stands for a logger until there is something to log: few programs ever load what it is made of."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        steps = (structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs)
        logger = structlog.wrap_logger(
            logging.getLogger(self._name), processors=steps, wrapper_class=structlog.stdlib.BoundLogger
        )
        return getattr(logger, method)
