"""Times are read for certain, or not at all."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune.data.times import read_time

MAY = datetime(2024, 5, 31, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2024-05-31 18:30",
        "2024-05-31T18:30:00Z",
        "2024-05-31T20:30+02:00",
        "2024/05/31 18:30",
        "31.05.2024 18:30",
        "31 May 2024 18:30",
        "May 31, 2024 18:30",
        "Fri May 31 18:30:00 +0000 2024",  # as Twitter writes it
        "Fri, 31 May 2024 18:30:00 GMT",
        MAY,
        datetime(2024, 5, 31, 18, 30),
        pd.Timestamp("2024-05-31 18:30"),
        np.datetime64("2024-05-31T18:30"),
    ],
)
def test_dates_in_usual_forms(value):
    assert read_time(value) == MAY


def test_days_and_months():
    assert read_time(date(2024, 5, 31)) == read_time("2024-05-31") == datetime(2024, 5, 31, tzinfo=UTC)
    assert read_time("2024-05") == datetime(2024, 5, 1, tzinfo=UTC)


@given(st.one_of(st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_stay_numbers(number):
    assert read_time(number) == read_time(repr(number)) == float(number)


@given(st.text())
def test_any_text_is_a_time_or_refused(text):
    try:
        assert isinstance(read_time(text), float | datetime)
    except ValueError as reason:
        assert "time" in str(reason) or "date" in str(reason)  # noqa: PT017


@pytest.mark.parametrize("value", ["05/06/2024", "yesterday", "31.13.2024", "", None, float("nan"), True, [1], "²"])
def test_what_cannot_be_read_for_certain(value):
    with pytest.raises(ValueError, match=r"the time is empty|neither a number nor a date"):
        read_time(value)
