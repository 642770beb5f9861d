"""The structured log on standard error, as text or as one JSON object per line."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

from backstay.cli.output import to_stderr
from backstay.cli.text import printable

TRACEBACK_VARIABLE = "BACKSTAY_TRACEBACK"  # if it is 1, unexpected errors and log events show their traceback


class StderrWriter(logging.Handler):
    """Handler that writes to the current `sys.stderr`, which a live progress bar replaces."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        if self.formatter is None:  # loaded late: most commands log nothing
            self.formatter = _formatter(as_json=self._as_json)
        to_stderr(self.format(record))


def configure(*, as_json: bool) -> None:
    """Send the log to standard error: from INFO as JSON, from WARNING as text."""
    logger = logging.getLogger("backstay")
    handlers = [other for other in logger.handlers if not isinstance(other, StderrWriter)]
    logger.handlers = [*handlers, StderrWriter(as_json=as_json)]
    logger.setLevel(logging.INFO if as_json else logging.WARNING)
    # A processor's module may configure the root logger; our lines must not be printed twice.
    logger.propagate = False


def _formatter(*, as_json: bool) -> logging.Formatter:
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=_json_steps() if as_json else [_as_text],
    )


def _json_steps() -> list[Any]:
    import structlog

    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return [remove, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _as_text(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    hidden = ("_record", "_from_structlog", "exc_info", "stack_info", "event", "level", "logger", "timestamp")
    context = "".join(f" {name}={printable(value)}" for name, value in event.items() if name not in hidden)
    return f"{str(event['level']).capitalize()}: {printable(event['event']).replace('_', ' ')}{context}{_trace(event)}"


def _trace(event: MutableMapping[str, Any]) -> str:
    if os.environ.get(TRACEBACK_VARIABLE) != "1" or not event.get("exc_info"):
        return ""
    import traceback

    raised = event["_record"].exc_info
    return "\n" + "".join(traceback.format_exception(*(raised or sys.exc_info()))).rstrip()
