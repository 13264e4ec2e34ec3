"""The report of a comparison is complete, self-contained, honest about gaps, and holds no post where it must not."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from helpers.made_comparison import TEXT, made_comparison, made_posts, picture
from jointune.comparison.report.write import write_report
from jointune.comparison.summary import Line
from jointune.data.post import Posts
from jointune.evaluation.significance import Difference

SECTIONS = ("answer", "scores", "curve", "cost", "confusion", "calibration", "posts", "limits", "setting")
HOSTILE = "<script>alert('x')</script> | $y_1$ *b* [c](d)\n\u202e &lt; \ud83d"


class Page(HTMLParser):
    """The tags of a page; fails where they are not nested."""

    EMPTY = frozenset({"meta", "img", "br", "path", "use"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attributes.get(attribute)]


def report(comparison, folder, **arguments):
    """Every file's content by its name."""
    paths = write_report(comparison, folder, **arguments)
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def rows(content):
    return list(csv.DictReader(content.splitlines()))


@pytest.fixture(scope="module")
def usual():
    return made_comparison()


@pytest.fixture(scope="module")
def written(usual, tmp_path_factory):
    return report(usual, tmp_path_factory.mktemp("report"))


def test_it_has_all_files_and_sections(written):
    assert set(written) == {"report.html", "report.md", "cells.csv", "summary.csv"}
    page = Page(written["report.html"])
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == list(SECTIONS)
    assert written["report.md"].count("\n## ") == len(SECTIONS)


def test_the_page_is_whole_by_itself(written):
    page = Page(written["report.html"])
    assert "http" not in re.sub(r"http-equiv", "", written["report.html"])
    assert all(address.startswith("#") for address in page.values("href"))
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.values("src"))
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert page.values("src"), "no picture"
    names = page.values("id")
    assert len(names) == len(set(names))
    assert {address.removeprefix("#") for address in page.values("href")} <= set(names)


def test_what_is_drawn_takes_the_page_s_colours_and_says_what_it_is(written):
    drawings = re.findall(r"<svg.*?</svg>", written["report.html"], re.DOTALL)
    assert drawings
    for drawing in drawings:
        assert re.match(r'<svg viewBox="[\d. ]+" role="img" aria-label="[^"]+"', drawing)
        assert not re.search(r"#[0-9a-f]{6}", drawing)
    assert all(text for text in Page(written["report.html"]).values("alt"))


def test_the_answer_names_the_best_method_its_interval_seeds_budgets_and_seconds(written):
    for content in (written["report.html"], written["report.md"]):
        answer = content.split("The answer")[-1].split("Each table shows")[0]
        for part in (
            "joint has the highest macro F1",
            "95 % interval",
            "seeds 0 and 1",
            "16 training posts a label",
            "seconds",
        ):
            assert part in answer


def test_the_scores_come_first_and_the_settings_are_folded_after_them(usual, tmp_path):
    about = usual.about | {"recipe": {f"setting {number}": number for number in range(35)}}
    page = report(replace(usual, about=about), tmp_path)["report.html"]
    first = page.split("<table>")[1].split("</table>")[0]
    assert "macro F1" in first
    assert "of CPU" in first
    assert "setting 34" not in page.split("<details>")[0]
    assert "setting 34" in page.split("The 35 settings</summary>")[1].split("</details>")[0]


def test_a_training_that_was_of_no_use_is_named_in_every_form(tmp_path):
    comparison = made_comparison(
        ("joint", "frozen", "text"), equal=("frozen",), kept_start=("joint", "frozen"), seeds=3
    )
    found = report(comparison, tmp_path)
    said = "joint kept its starting point, the probe of its frozen encoders, in 2 of 3 trainings"
    for content in (found["report.html"], found["report.md"]):
        answer = content.split("The answer")[-1].split("Each table shows")[0]
        assert said in answer
        assert "joint and frozen gave every test post the same answer" in answer
        assert "frozen kept" not in content, "it has nothing but its start"
    assert said in " ".join(comparison.summary().text(80).split())
    assert said in rows(found["summary.csv"])[0]["notes"]
    kept = [row["kept_start"] for row in rows(found["cells.csv"]) if row["method"] == "joint"]
    assert kept == ["True", "False", "True"] * 2


def test_a_method_that_gives_one_label_only_is_named(tmp_path):
    found = report(made_comparison(("joint", "image"), one_label=("image",), seeds=1, tested=60), tmp_path)
    said = (
        "image gave nearly all test posts one label in 1 of 1 training: 'negative' is 98 % of its answers and 33 % of"
    )
    assert said in found["report.md"]
    assert "joint gave nearly all" not in found["report.md"]
    assert said in {row["method"]: row for row in rows(found["summary.csv"])}["image"]["notes"]


@pytest.mark.parametrize(
    ("tested", "wrong", "says"),
    [(600, 3, "frozen is not shown to be worse"), (24, 2, "there are too few posts or trainings to call it as good")],
)
def test_a_cheaper_method_that_is_as_good_is_named_with_its_numbers(tmp_path, tested, wrong, says):
    comparison = made_comparison(("joint", "frozen"), (None,), 1, tested=tested)
    joint, frozen = (comparison.of(method, None)[0] for method in ("joint", "frozen"))
    scores = joint.test_scores.copy()
    right = np.flatnonzero(scores.argmax(1) == comparison.truth[joint.test])[:wrong]
    scores[right] = scores[right][:, [1, 2, 0]]  # the same answers but for a few posts
    comparison = replace(comparison, results=[joint, replace(frozen, test_scores=scores)])
    answer = report(comparison, tmp_path)["report.md"].split("| method |")[0]
    assert says in answer
    assert re.search(r"difference \u22120\.\d{3}, 95 % interval \u22120\.\d{3} to [+\u2212]?\d\.\d{3}", answer)
    assert "35 % of the CPU time of joint" in answer
    assert ("frozen is the one to take (preset='fast'), unless a gain of 0.0" in answer) == (tested == 600)


def test_cells_without_cpu_seconds_are_compared_by_the_clock(tmp_path):
    found = report(made_comparison(budgets=(None,), cpu=False), tmp_path)
    assert "clock, joint = 1" in found["report.md"]
    table = next(line for line in found["report.md"].splitlines() if line.startswith("| joint |"))
    assert "| \u2013 | 1.00 |" in table
    assert rows(found["summary.csv"])[0]["train_cpu_seconds"] == ""


UNDECIDED = "not distinguishable"


@pytest.mark.parametrize(
    ("value", "low", "high", "p_value", "adjusted", "verdict", "reason"),
    [
        (0.2, 0.007, 0.3, 0.016, 0.08, UNDECIDED, "excludes zero, but p 0.080 with 5 comparisons (0.016 uncorrected)"),
        (0.2, 0.007, 0.3, 0.06, 0.3, UNDECIDED, "excludes zero, but p 0.300 with 5 comparisons"),
        (0.2, -0.1, 0.3, 0.2, 1.0, UNDECIDED, "holds zero; p 1.000 with 5 comparisons"),
        (0.2, 0.1, 0.3, 0.0001, 0.0005, "worse", "excludes zero; p < 0.001 with 5 comparisons"),
        (-0.2, -0.3, -0.1, 0.002, 0.01, "better", "excludes zero; p 0.010 with 5 comparisons"),
    ],
)
def test_each_verdict_has_its_reason(value, low, high, p_value, adjusted, verdict, reason):
    distinguishable = low * high > 0 and p_value < 0.05
    difference = Difference(value, low, high, p_value, 5, distinguishable, "")
    line = Line("text", None, 5, 100, {}, {"macro_f1": difference}, {"macro_f1": adjusted}, {}, 5, ())
    assert line.verdict("macro_f1") == verdict
    assert line.reason("macro_f1") == f"the interval {reason}"


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_for_a_terminal_fits(width):
    methods = ("joint", "joint-paper", "frozen", "text", "image", "late", "visualbert", "clip-zero-shot")
    comparison = made_comparison((*methods, "a method of one's own with quite a name"), seeds=1, kept_start=methods)
    text = comparison.summary().text(width)
    assert max(map(len, text.splitlines())) <= width
    for line in comparison.summary().lines:
        found, difference = line.scores["macro_f1"], line.differences.get("macro_f1")
        assert f"{found.low:.3f}\u2013{found.high:.3f}" in text, "a figure is broken"
        assert difference is None or f"{difference.low:+.3f} to {difference.high:+.3f}" in text


def test_methods_that_cannot_be_told_apart_are_called_so(tmp_path):
    found = report(made_comparison(methods=("joint", "text"), budgets=(None,), tested=12), tmp_path)
    assert "joint is not distinguishable from text" in found["report.html"]
    assert rows(found["summary.csv"])[1]["macro_f1_verdict"] == "not distinguishable"


def test_tables_have_a_row_for_each_cell_and_for_each_method_and_budget(usual, written):
    cells, summary = rows(written["cells.csv"]), rows(written["summary.csv"])
    assert len(cells) == len(usual.results)
    assert {(row["method"], row["labels_per_class"]) for row in summary} == {
        (method, budget) for method in usual.methods for budget in ("16", "all")
    }
    first = next(row for row in summary if row["method"] == "text")
    assert float(first["macro_f1_low"]) < float(first["macro_f1"]) < float(first["macro_f1_high"])
    assert float(first["macro_f1_p"]) <= float(first["macro_f1_p_holm"])
    assert first["macro_f1_verdict"] == "not distinguishable"
    assert first["macro_f1_reason"].startswith("the interval holds zero; p 0.")


def test_the_same_comparison_gives_the_same_bytes_in_place_of_an_earlier_report(tmp_path):
    small = {"tested": 20, "learned": 40, "seeds": 1, "budgets": (4, None)}
    first = report(made_comparison(**small), tmp_path)
    report(made_comparison(methods=("text",), budgets=(None,), seeds=1), tmp_path)
    assert report(made_comparison(**small), tmp_path) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(first)


def test_matplotlib_keeps_the_user_s_settings(usual, written, tmp_path):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 31, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert report(usual, tmp_path) == written
        assert mpl.rcParams["font.size"] == 31


def test_markdown_holds_neither_texts_nor_pictures(usual, written):
    assert TEXT in written["report.html"]
    assert TEXT not in written["report.md"]
    assert "data:" not in written["report.md"]
    assert "| joint |" in written["report.md"]


def test_whatever_users_bring_is_shown_as_text(tmp_path):
    labels = (HOSTILE, "plain")
    posts = Posts((replace(post, text=HOSTILE) for post in made_posts(40, labels)), HOSTILE)
    found = report(
        made_comparison(
            (HOSTILE, "joint"), labels=labels, tested=20, posts=posts, crashed=((HOSTILE, 4),), budgets=(4, None)
        ),
        tmp_path,
    )
    page = Page(found["report.html"])
    assert "script" not in {tag for tag, _ in page.tags}
    assert "&lt;script&gt;" in found["report.html"]
    assert "<b>line</b>" not in found["report.html"]
    assert "<script" not in found["report.md"]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in found["report.md"].splitlines() if "plain" in line]
    assert set(bars) <= {0, 4, 6}
    assert {row["method"] for row in rows(found["summary.csv"])} >= {"joint"}


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    formula = '=HYPERLINK("http://evil.example")'
    found = report(
        made_comparison((formula, "joint"), labels=(formula, "plain"), tested=20, budgets=(4, None)), tmp_path
    )
    for name in ("cells.csv", "summary.csv"):
        cells = [cell for row in rows(found[name]) for cell in row.values()]
        assert f"'{formula}" in cells
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


def test_each_picture_of_a_post_is_shown_up_to_four(tmp_path):
    shown = Posts(replace(post, image=[picture(number) for number in range(6)]) for post in made_posts(60, "ab"))
    page = report(made_comparison(labels=("a", "b"), tested=40, posts=shown), tmp_path / "report")["report.html"]
    cards = page.count("<article")
    sources = Page(page).values("src")
    assert (len(sources), len(set(sources)), page.count("<p>+2</p>")) == (4 * cards, 4, cards)
    assert page.count('alt="Picture 4 of post ') == cards > 0


def test_a_picture_that_is_gone_is_said_to_be(tmp_path):
    posts = Posts(replace(post, image=tmp_path / f"{number}.png") for number, post in enumerate(made_posts(60, "ab")))
    found = report(made_comparison(labels=("a", "b"), tested=40, posts=posts), tmp_path / "report")
    assert "its picture can no longer be opened: no such file" in found["report.html"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"methods": ("joint",)},
        {"methods": ("text",), "budgets": (None,)},
        {"budgets": (None,), "seeds": 1},
        {"labels": tuple(f"label number {number}" for number in range(30)), "tested": 60, "seeds": 1},
        {"labels": ("no", "yes"), "tested": 1, "learned": 20},
        {"methods": tuple(f"a method of one's own, number {number}" for number in range(14)), "seeds": 1, "tested": 20},
        {"folds": 3, "tested": 20, "seeds": 1},
        {"budgets": (200, 400, None)},
        {"lacking": (("text", None), ("joint", 16))},
        {"crashed": (("joint", 16), ("joint", None))},
    ],
    ids=lambda arguments: ",".join(arguments),
)
def test_whatever_was_compared_there_is_a_report(arguments, tmp_path):
    found = report(made_comparison(**arguments), tmp_path)
    page = Page(found["report.html"])
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == list(SECTIONS)
    assert "nan" not in re.sub(r"data:[^\"]+", "", found["report.html"]).split("<main>")[1].lower().split()
    assert rows(found["cells.csv"])
    assert rows(found["summary.csv"])


def test_where_everything_crashed_the_report_says_why(tmp_path):
    pairs = tuple((method, budget) for method in ("joint", "text", "image") for budget in (16, None))
    found = report(made_comparison(crashed=pairs), tmp_path)
    assert "No training finished" in found["report.html"]
    assert "ValueError: it broke" in found["report.html"]
    assert "ValueError: it broke" in found["report.md"]
    assert rows(found["cells.csv"]) == rows(found["summary.csv"]) == []
    assert found["cells.csv"].startswith("method,")


def test_another_reference_may_be_chosen(usual, tmp_path):
    found = report(usual, tmp_path, reference="image")
    assert {row["reference"] for row in rows(found["summary.csv"])} == {"image"}
    assert "the macro F1 of image less that of the other method" in found["report.html"]


def test_crashes_and_gaps_are_among_the_limits(tmp_path):
    found = report(made_comparison(crashed=(("text", 16),), lacking=(("image", 16),), seeds=1), tmp_path)
    limits = found["report.md"].split("## What cannot be concluded")[1]
    for part in (
        "trained once (seed 0)",
        "single division",
        "1 training crashed (text)",
        "missing (image)",
        "Only 60 posts",
    ):
        assert part in limits
    assert "&lt;b&gt;line" in found["report.html"]
    assert "Traceback" not in found["report.md"]


def test_posts_shared_with_training_are_told(usual, tmp_path):
    leaking = replace(usual, folds=(replace(usual.folds[0], shared=7),))
    limits = report(leaking, tmp_path)["report.md"].split("## What cannot be concluded")[1]
    assert "7 test posts share a picture or a text" in limits


def test_the_templates_are_part_of_the_package():
    import jointune.comparison.report

    folder = Path(jointune.comparison.report.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} == {"comparison.html.j2", "comparison.md.j2", "sections.j2"}


def test_where_few_are_wrong_intervals_stay_narrow_and_each_label_has_its_own(tmp_path):
    made = made_comparison(methods=("joint", "text"), budgets=(None,), seeds=1, labels=("no", "yes"), tested=200)
    truth = made.truth[made.results[0].test]
    for wrong, result in zip((1, 0), made.results, strict=True):
        result.test_scores[:] = np.eye(2)[np.where(np.arange(200) < wrong, 1 - truth, truth)]
    joint, text = made.summary().lines
    assert (joint.scores["accuracy"].low, joint.scores["accuracy"].high) == pytest.approx((0.972, 1), abs=5e-4)
    assert (text.scores["accuracy"].low, text.scores["accuracy"].high) == pytest.approx((0.981, 1), abs=5e-4)
    write_report(made, tmp_path)
    written = (tmp_path / "report.md").read_text(encoding="utf-8")
    labels = written[written.index("## Confused labels") :]
    assert "| no | 1.000 (0.963 to 1.000) | 1.000 (0.963 to 1.000) | 1.000 (0.981 to 1.000) | 100 |" in labels
