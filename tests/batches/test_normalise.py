"""Posts as plain text: each kind by itself, and never a text made worse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune import SettingsError
from jointune.batches.normalise import KINDS, Normaliser, valid_kinds

COMMON = "the of and to a in for is on that by with i you it not be are my job love best day ever".split()  # noqa: SIM905
FILL = [f"{a}{b}{c}q" for a in "bcdfghjklm" for b in "aeiou" for c in "bcdfghjklmnprstvwxyz"][:1000]
WORDPIECE = {word: rank for rank, word in enumerate(["[PAD]", "[UNK]", *COMMON, *FILL, "##job", "##x"])}
BYTE_PAIR = {word: rank for rank, word in enumerate(["<s>", *(f"Ġ{word}" for word in COMMON + FILL), "lov", "emyjob"])}


def plain(text, kinds=KINDS, vocabulary=WORDPIECE):
    return Normaliser(kinds, vocabulary)(text)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("links", "see https://t.co/abc?x=1 now", "see now"),
        ("links", "see www.example.org", "see"),
        ("links", "cut off http://t…", "cut off"),
        ("retweets", "RT @someone: so true", "so true"),
        ("retweets", "ART @someone", "ART @someone"),
        ("handles", "thanks @Some_One, @x!", "thanks @user, @user!"),
        ("handles", "mail me@example.org", "mail me@example.org"),
        ("hashtags", "#LoveMyJob", "# love my job"),
        ("hashtags", "#lovemyjob #bestdayever2015", "# love my job # best day ever 2015"),
        ("hashtags", "#Schön_wetter", "# Schön wetter"),
        ("hashtags", "#BestZyx", "# best Zyx"),
        ("hashtags", "# and #1", "# and # 1"),
        ("emoji", "so 😀!", "so grinning face !"),
        ("emoji", "👍🏽", "thumbs up sign"),
        ("repeats", "soooo cooool 1000000", "soo cool 1000000"),
    ],
)
def test_each_kind(kind, text, expected):
    assert plain(text, [kind]) == expected
    assert plain(text, [other for other in KINDS if other != kind]) != expected or text == expected


def test_words_are_found_in_vocabularies_that_mark_where_words_begin():
    assert plain("#lovemyjob", vocabulary=BYTE_PAIR) == "# love my job"


def test_a_small_vocabulary_knows_only_capitals():
    assert plain("#LoveMyjob", vocabulary={"love": 0, "my": 1}) == "# Love Myjob"


def test_a_text_of_which_nothing_is_left_stays():
    assert plain("https://t.co/abc") == "https://t.co/abc"
    assert plain("") == ""


@given(st.text(max_size=80))
def test_any_text_is_taken_and_one_pass_is_enough_to_lose_no_letters_of_words(text):
    once = plain(text)
    assert isinstance(once, str)
    assert plain(text, []) == text
    assert bool(once) == bool(text)


def test_kinds_are_checked_and_ordered():
    assert valid_kinds("none") == ()
    assert valid_kinds(["repeats", "links"]) == ("links", "repeats") == valid_kinds("repeats, links")
    with pytest.raises(SettingsError, match=r"normalise=\['slang'\]: choose among links"):
        valid_kinds("slang,links")
