"""The page stands alone, and no text of a post becomes a part of it."""

import re
from dataclasses import replace

import numpy as np

from helpers.planted import patch, planted
from jointune import Post
from jointune.explain.explainer import Explainer
from jointune.explain.neighbours import Neighbours
from jointune.output.pages.explanation_page import render, write_page


def page_of(text, **arguments):
    return render(
        [Explainer(planted(), **arguments).explain_one(Post(text, b"x"), [patch(1, 2)])], "occlusion", "a model"
    )


def test_the_page_needs_nothing_else_and_escapes_texts():
    page = page_of("good <script>alert(1)</script> https://example.org/a 'x' \" onload=")
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("data:image/") >= 3  # the image, its heat map, and the image without regions
    assert not re.search(r"(?:src|href)=\"(?!data:image/|#)", page)


def test_the_page_says_what_decided():
    page = page_of("good sun")
    assert "Text and image agree" in page
    assert re.search(r'<span class="for" style="--w: 1.00"[^>]*>good</span>', page)
    assert "row 2, column 3" in page
    assert "training posts are given" in page
    assert "<del>good</del>" in page


def test_neighbours_are_shown_where_they_are_known(tmp_path):
    posts = [Post("far", label="negative", where="row 1"), Post("near", label="positive", where="row 2")]
    near = Neighbours(posts, np.array([[0.0, 1.0], [1.0, 0.1]])).nearest(np.array([2.0, 0.0]), 1)
    assert [one.post.where for one in near] == ["row 2"]
    one = replace(Explainer(planted()).explain_one(Post("good"), []), neighbours=near)
    write_page(tmp_path / "why.html", [one], "occlusion", "a model")
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "row 2" in page
    assert "training posts are given" not in page
