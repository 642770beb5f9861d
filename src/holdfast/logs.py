"""Structured logs: an event's name, and its context as fields.

They go through Python's own `logging` under the name `holdfast`, which is silent until a program, such as our command
line, gives it a handler. No prompt, answer or key is ever logged.
"""

import logging

import structlog

logging.getLogger("holdfast").addHandler(logging.NullHandler())

_PROCESSORS = (structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of that name; nothing global is configured by it."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name), processors=_PROCESSORS, wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger
