"""Read the time of a post: dates as people and programs write them, or numbers."""

import math
import re
from contextlib import suppress
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np

from jointune.data.labels import absent
from jointune.utils.wording import shortened

Time = float | datetime
"""A number, such as the seconds since 1970 or a running number, or a date in UTC."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")

_MAIL = re.compile(r"([A-Za-z]{3}, ?)?\d{1,2} [A-Za-z]{3} \d{4} \d{1,2}:\d{2}(:\d{2})?( .*)?")

_FORMS = ("%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
"""Forms of a date beside ISO 8601's, each with or without a time of day. Not 05/06/2024, which two readers read as two
days."""

_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%z", " %H:%M:%S %z")

_PATTERNS = ("%a %b %d %H:%M:%S %z %Y", "%Y-%m", *(form + time for form in _FORMS for time in _TIMES))


def read_time(value: Any) -> Time:
    """Convert a cell to a time: a number stays one, a date without a zone is taken as UTC.

    Raises:
        ValueError: it is empty, or neither a number nor a date that can be read for certain.
    """
    if absent(value):
        raise ValueError("the time is empty")
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):  # pandas' timestamps are, too
        return _in_utc(value)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if _NUMBER.fullmatch(text):
        return float(text)
    with suppress(ValueError):
        return _in_utc(datetime.fromisoformat(text))
    if _MAIL.fullmatch(text):  # as in mails and feeds
        with suppress(ValueError, TypeError):
            return _in_utc(parsedate_to_datetime(text))
    for pattern in _PATTERNS:
        with suppress(ValueError):
            return _in_utc(datetime.strptime(text, pattern))
    raise ValueError(f"{shortened(str(value), 40)!r} is neither a number nor a date that can be read for certain")


def _in_utc(time: datetime) -> datetime:
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    try:
        return time.astimezone(UTC)
    except OverflowError as reason:
        raise ValueError(f"{time} is out of range") from reason
