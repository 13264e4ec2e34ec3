"""jointune export: a folder that predict and evaluate take, or one clear line and nothing written."""

import csv
import json

from conftest import write_rows


def test_a_bundle_is_exported_replaced_and_used(jointune, refused, tiny_bundle, posts_csv, tmp_path):
    """First checked on the demo posts, then on a split of others."""
    folder = tmp_path / "light"
    command = ("export", tiny_bundle, "--out", folder)
    refused(*command, "--split", "test", says=["--split test: name the posts with --check"])
    refused(*command, "--check", posts_csv, "--split", "fold 3", says=["posts.csv: no post whose split is 'fold 3'"])
    code, said = jointune(*command)
    assert code == 0, said
    assert "300 posts of the demo" in said
    assert "| fp32 |" in said
    assert "300 posts of the demo" in (folder / "README.md").read_text()

    with open(posts_csv, newline="", encoding="utf-8") as file:
        rows = [row | {"part": row["split"], "image": posts_csv.parent / row["image"]} for row in csv.DictReader(file)]
    other = write_rows(tmp_path / "p.csv", rows)
    check = ("--check", other, "--split", "test", "--split-column", "part", "--int8", "--allow-loss", 100)
    refused(*command, *check, says=["exists already", "--force"])
    code, said = jointune(*command, *check, "--force")
    assert code == 0, said
    assert "checked against torch on 8 posts of p.csv (test):" in said
    assert "| int8 |" in said
    assert "checked against torch on 8 posts of p.csv (test):" in (folder / "README.md").read_text()
    export = json.loads((folder / "export.json").read_text())["export"]
    assert (export["checked_on"], export["check"]["fp32"]["posts"]) == ("p.csv (test)", 8)
    assert export["precision"] == "int8"

    assert jointune("predict", folder, posts_csv, "--out", tmp_path / "scored.csv")[0] == 0
    code, said = jointune("evaluate", folder, posts_csv, "--split", "test")
    assert code == 0, said
    assert "accuracy" in said


def test_what_exists_is_spared(refused, jointune, tiny_bundle, posts_csv, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    for force in ([], ["--force"]):
        refused("export", tiny_bundle, "--out", mine, *force, says=["exists already and holds something else"])
    refused("export", tiny_bundle, "--out", tiny_bundle, "--force", says=["holds something else"])
    assert (mine / "letter.txt").read_text() == "dear"


def test_what_cannot_be_exported_or_checked_on(refused, tiny_bundle, posts_csv, tmp_path):
    light = tmp_path / "light"
    refused("export", tmp_path / "none", "--out", light, says=["no such bundle"])
    refused("export", tiny_bundle, "--out", light, "--check", tmp_path / "none.csv", says=["none.csv"])
    empty = tmp_path / "empty.csv"
    empty.write_text("text,image,label\n")
    refused("export", tiny_bundle, "--out", light, "--check", empty, says=["empty.csv: no posts"])
    assert not light.exists()
