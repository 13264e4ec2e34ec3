"""The service's log: one line of JSON for each event. The content of posts is never in it."""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

_logger = logging.getLogger("jointune.serve")
_LEVELS = {"jointune.serve": logging.INFO, "uvicorn.error": logging.WARNING, "asyncio": logging.WARNING}


def log_event(event: str, **values: Any) -> None:
    """Write a line."""
    _logger.info(event, extra={"values": values})


def log_error(event: str, error: BaseException, **values: Any) -> None:
    """Write a line about a bug: the type of the error and its place, not its message, which may quote a post."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    _logger.error(event, extra={"values": {**values, "error": type(error).__name__, "at": places[-8:]}})


@contextmanager
def log_to_stdout() -> Iterator[None]:
    """Send this log, and what uvicorn and asyncio log, to standard output as long as the block lasts.

    Handlers, levels and propagation of these loggers, and ``logging.raiseExceptions``, are put back at its end.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    loggers = {logging.getLogger(name): level for name, level in _LEVELS.items()}
    before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in loggers]
    raised, logging.raiseExceptions = logging.raiseExceptions, False  # requests outlive whoever reads the log
    for logger, level in loggers.items():
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    try:
        yield
    finally:
        logging.raiseExceptions = raised
        for logger, handlers, propagate, level in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line | getattr(record, "values", {}))
