"""Structured logs: the name of an event, and its context as fields.

Events go to the logger `backstay` of Python's `logging`, which is silent until a program, such as the command line,
adds a handler. Events never contain a prompt, an answer or a key.
"""

import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

logging.getLogger("backstay").addHandler(logging.NullHandler())


def get_logger(name: str) -> "BoundLogger":
    """Return the logger of that name, without configuring anything global."""
    return cast("BoundLogger", _LazyLogger(name))


class _LazyLogger:
    """Logger that imports structlog on its first event, which most programs never log."""

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
