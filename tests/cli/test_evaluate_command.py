"""jointune evaluate: scores of labelled posts, or one clear line on why there are none."""

import json
from pathlib import Path

import pytest

from helpers.odd_pictures import unusable, usable
from jointune import JointClassifier, JointuneWarning
from jointune.data.read import read_posts


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_people_have_is_evaluated(jointune, tiny_bundle, tmp_path):
    rows = [
        {"text": f"good {number}", "image": str(path), "label": ["positive", "negative"][number % 2]}
        for number, path in enumerate(usable(tmp_path / "good").values())
    ]
    rows.append({"text": "long 😀 " * 20_000, "label": "positive"})
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    code, said = jointune("evaluate", tiny_bundle, path, "--out", tmp_path / "m.json")
    assert code == 0, said
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["n"] == len(rows)
    assert sum(map(sum, metrics["confusion_matrix"])) == len(rows)


def test_posts_of_a_single_label_or_a_single_post(jointune, tiny_bundle, tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [{"text": "good", "image": None, "label": "positive"}])
    code, said = jointune("evaluate", tiny_bundle, path, "--out", tmp_path / "m.json")
    assert code == 0, said
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["auroc"] is None
    # One post tells little, right or wrong; a label without posts has no recall to speak of.
    assert "accuracy 1.000 (0.207 to 1.000)" in said or "accuracy 0.000 (0.000 to 0.793)" in said
    assert "on 1 post, none of them labelled 'negative'" in said
    assert metrics["per_class"]["negative"]["recall_ci"] == [0, 1]
    assert "recall 0.000 (0.000 to 1.000)" in said


def test_texts_that_the_model_does_not_see_whole_are_said(jointune, tiny_bundle, tmp_path):
    """As in training; a table that fits says nothing."""
    classifier = JointClassifier.load(tiny_bundle)
    fits = write_jsonl(tmp_path / "a.jsonl", [{"text": "good", "image": None, "label": "positive"}] * 600)
    rows = [{"text": "good " * (90 if number % 2 else 1), "image": None, "label": "positive"} for number in range(600)]
    cut = write_jsonl(tmp_path / "b.jsonl", rows)
    for command in (["evaluate"], ["predict", "--out", tmp_path / "scored.csv", "--force"]):
        assert "are cut" not in jointune(*command, tiny_bundle, fits, "--quiet")[1]
        said = jointune(*command, tiny_bundle, cut, "--quiet")[1]
        assert "note: 300 of 600 texts (50%) are cut at 64 tokens, and half of those lose 28 or more" in said
    (tmp_path / "c.csv").write_text("text,image,label\n" + "यह एक बहुत अच्छा दिन है,,positive\n" * 3, encoding="utf-8")
    for command in (["evaluate"], ["predict", "--out", tmp_path / "scored.csv", "--force"]):
        said = jointune(*command, tiny_bundle, tmp_path / "c.csv", "--quiet")[1]
        assert "does not know 100% of the words" in said
        assert f"of the text encoder {classifier.text_encoder} does" in said
    with pytest.warns(JointuneWarning, match="300 of 600 texts"):
        classifier.evaluate(read_posts(cut))


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (
            "text,image,label\na,,positive\nb,,joyful\n",
            (),
            ["row 2 (line 3): label: 'joyful' is not a label of the training posts (negative, positive); correct"],
        ),
        ("text,image,label\na,,positive\nb,,\n", (), ["row 2 (line 3): label: the post has no label; label it"]),
        ("text,image,label\na,,positive\nb,,negative,x\n", (), ["row 2 (line 3): the row: it has 4 fields"]),
        ("text,image,label\n", (), ["p.csv: no posts"]),
        ("text,image\na,\n", (), ["there is no column 'label'"]),
        ("text,image,label,split\na,,positive,train\n", ("--split=test",), ["p.csv: no post whose split is 'test'"]),
        ("text,image,label\na,,positive\n", ("--split=test",), ["there is no column 'split'"]),
        ("text,image,label\na,x.png,positive\n", (), ["row 1 (line 2): ", "x.png: no such file", "correct the path"]),
        ("text,image,label\na,x.png,positive\n", ("--on-bad-image=skip",), ["no post is left to evaluate on"]),
    ],
)
def test_posts_that_cannot_be_evaluated(refused, tiny_bundle, tmp_path, content, options, says):
    path = tmp_path / "p.csv"
    path.write_text(content)
    refused("evaluate", tiny_bundle, path, "--out", tmp_path / "m.json", *options, says=says)
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize("policy", ["skip", "missing"])
def test_bad_pictures_are_counted_and_listed(jointune, tiny_bundle, tmp_path, policy):
    bad = unusable(tmp_path / "bad")
    rows = [
        {"text": f"good {number}", "image": "", "label": ["positive", "negative"][number % 2]} for number in range(6)
    ]
    rows += [{"text": "bad", "image": str(path), "label": "negative"} for path, _ in bad.values()]
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    code, said = jointune("evaluate", tiny_bundle, path, "--out", tmp_path / "m.json", "--on-bad-image", policy)
    assert code == 0, said
    for number, (picture, reason) in enumerate(bad.values(), 7):
        (line,) = [line for line in said.splitlines() if line.startswith(f"{policy}: p.jsonl row {number} ")]
        assert f"{picture}: " in line
        assert reason in line
    assert f"{len(bad)} posts were {'left out' if policy == 'skip' else 'used without'}" in said
    assert json.loads((tmp_path / "m.json").read_text())["n"] == (6 if policy == "skip" else len(rows))


def test_an_existing_output_and_the_posts_themselves_are_spared(refused, jointune, tiny_bundle, fresh_posts, tmp_path):
    path, out = fresh_posts(8), tmp_path / "m[1].json"
    out.write_text("of yesterday")
    refused("evaluate", tiny_bundle, path, "--out", out, says=["m[1].json exists already", "--force"])
    assert out.read_text() == "of yesterday"
    before = path.read_bytes()
    refused("evaluate", tiny_bundle, path, "--out", path, "--force", says=["is or holds the posts themselves"])
    assert path.read_bytes() == before
    code, said = jointune("evaluate", tiny_bundle, path, "--out", out, "--force")
    assert (code, f"wrote {out}" in said) == (0, True), said
    assert json.loads(out.read_text())["n"] == 8


def test_one_split_of_several(jointune, tiny_bundle, posts_csv):
    code, said = jointune("evaluate", tiny_bundle, posts_csv, "--split", "test")
    expected = len(read_posts(posts_csv, split_column="split").in_split("test"))
    assert (code, f"on {expected} posts" in said) == (0, True), said
