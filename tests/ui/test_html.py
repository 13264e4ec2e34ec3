"""Sentences on the page."""

from jointune.posts.problems import Problem
from jointune.ui.html import card_body, listed, said


def test_names_from_files_are_no_markup():
    assert said(["<img src=x>", "a\nb"]) == "<p>&lt;img src=x&gt;</p><p>a</p><p>b</p>"
    assert "<script>" not in listed([Problem("row 1", "<script>", "bad", "mend it")])


def test_a_long_list_is_cut():
    html = listed([Problem(f"row {n}", "a.png", "bad", "mend it") for n in range(250)])
    assert html.count("<li>") == 101
    assert "and 150 more" in html
    assert listed([]) == ""


def test_the_card_is_shown_without_its_metadata():
    assert card_body("---\ntags: [a]\n---\n\n# A model\n\n---\nend") == "# A model\n\n---\nend"
    assert card_body("# A model") == "# A model"
    assert card_body("") == "This model has no card."
