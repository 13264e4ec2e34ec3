"""How problems are counted."""

import pytest

from jointune.data.problems import Problem, affected, raise_problems
from jointune.errors import PostsError


def test_one_is_one_and_more_are_many():
    assert affected(1, "skip") == "1 post was left out"
    assert affected(2, "missing") == "2 posts were used without a picture"


def test_several_problems_are_counted():
    problems = [Problem(f"row {number}", "label", "none", "give one") for number in range(1, 3)]
    with pytest.raises(PostsError, match=r"^2 posts of posts.csv cannot be used:"):
        raise_problems(problems, "posts.csv")
