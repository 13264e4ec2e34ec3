"""Sentences on the page."""

import base64
import io
import re

from PIL import Image

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.targets.single_label import SingleLabel
from jointune.ui.html import card_body, chart, heading, preview, problem_list, sentence_lines


def test_names_from_files_are_no_markup():
    assert sentence_lines(["<img src=x>", "a\nb"]) == "<p>&lt;img src=x&gt;</p><p>a</p><p>b</p>"
    assert "<script>" not in problem_list([Problem("row 1", "<script>", "bad", "mend it")])
    bad = "<script>alert(1)</script>"
    for html in (heading(bad, {}, SingleLabel([bad])), chart({bad: 1}), preview([(Post(bad), bad, 0.5)])):
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


def test_bars_show_the_share_of_each_answer():
    html = chart({"bad": 1, "good": 3, "none of it": 0})
    assert re.findall(r"width:([\d.]+)%", html) == ["25.0", "75.0", "0.0"]
    assert "3 (75%)" in html
    assert chart({"bad": 0}) == ""


def test_scored_posts_are_shown_with_small_pictures():
    wide = Image.new("RGB", (400, 100), "red")
    html = preview([(Post("x" * 300, wide), "good", 0.876), (Post("no picture"), "bad", 0.5)])
    (encoded,) = re.findall("src='data:image/webp;base64,([^']+)'", html)
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (96, 24)
    assert "x" * 199 + "…<" in html
    assert "good<br>88%" in html
    assert "The first 2 scored posts" in html
    assert preview([]) == ""


def test_a_long_list_is_cut():
    html = problem_list([Problem(f"row {n}", "a.png", "bad", "mend it") for n in range(250)])
    assert html.count("<li>") == 101
    assert "and 150 more" in html
    assert problem_list([]) == ""


def test_the_card_is_shown_without_its_metadata():
    assert card_body("---\ntags: [a]\n---\n\n# A model\n\n---\nend") == "# A model\n\n---\nend"
    assert card_body("# A model") == "# A model"
    assert card_body("") == "This model has no card."
