"""How problems are counted."""

import pytest

from jointune.errors import PostsError
from jointune.posts.problems import Problem, affected, counted, raise_problems


def test_one_is_one_and_more_are_many():
    assert [counted(number) for number in (0, 1, 2, 1000)] == ["0 posts", "1 post", "2 posts", "1,000 posts"]
    assert counted(1, "label") == "1 label"
    assert affected(1, "skip") == "1 post was left out"
    assert affected(2, "missing") == "2 posts were used without their picture"


def test_several_problems_are_counted():
    problems = [Problem(f"row {number}", "label", "none", "give one") for number in range(1, 3)]
    with pytest.raises(PostsError, match=r"^2 posts of posts.csv cannot be used:"):
        raise_problems(problems, "posts.csv")
