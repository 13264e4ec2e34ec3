"""The log: one line of JSON an event. What posts hold is never in it."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_logger = logging.getLogger("jointune.serve")


def log(event: str, **values: Any) -> None:
    """Write a line."""
    _logger.info(event, extra={"values": values})


def fault(event: str, error: BaseException, **values: Any) -> None:
    """Write a line on an error of the program: its kind and where it happened, not its message, which may quote."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    _logger.error(event, extra={"values": {**values, "error": type(error).__name__, "at": places[-8:]}})


def start_log() -> None:
    """Send the log to standard output, and what uvicorn and asyncio have to say with it."""
    logging.raiseExceptions = False  # a log that nobody reads any more is no reason to fail requests
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json())
    for name, level in (
        ("jointune.serve", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("asyncio", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line | getattr(record, "values", {}))
