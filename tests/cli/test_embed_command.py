"""jointune embed: a row for each post, whole files, and one clear line for what cannot be."""

import numpy as np
import pandas as pd
import pytest

from conftest import write_rows
from jointune import JointClassifier, read_posts


@pytest.fixture
def embed(jointune, tiny_bundle, posts_csv, tmp_path):
    """Runs ``jointune embed`` to a file of this name; what it said and the file."""

    def run(name, *options, posts=posts_csv, bundle=tiny_bundle):
        code, said = jointune("embed", bundle, posts, "--out", tmp_path / name, "--quiet", *options)
        assert code == 0, said
        return said, tmp_path / name

    return run


@pytest.mark.parametrize("of", ["joint", "image"])
def test_both_formats_hold_what_python_computes(embed, tiny_bundle, posts_csv, of):
    expected = JointClassifier.load(tiny_bundle).embed(read_posts(posts_csv), of=of)
    said, path = embed("vectors.npz", "--of", of, "--id-column", "id")
    assert "wrote" in said
    assert "48 vectors" in said
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["vector"].dtype == np.float32
        np.testing.assert_array_equal(arrays["vector"], expected)
        assert arrays["row"].tolist() == list(range(1, 49))
        assert arrays["id"].tolist() == [str(number) for number in range(48)]
    _, path = embed("vectors.parquet", "--of", of)
    table = pd.read_parquet(path)
    assert list(table.columns) == ["row", "vector"]
    np.testing.assert_array_equal(np.stack(table["vector"]), expected)


def test_an_exported_model_writes_them_too(embed, exported_model, tiny_bundle, posts_csv):
    _, path = embed("vectors.npz", bundle=exported_model)
    with np.load(path) as arrays:
        expected = JointClassifier.load(tiny_bundle).embed(read_posts(posts_csv))
        np.testing.assert_allclose(arrays["vector"], expected, atol=1e-4)


def test_posts_without_the_modality_and_rows_that_are_left_out(embed, posts_csv, tmp_path):
    rows = [
        {"text": "good", "image": str(posts_csv.parent / "0.png")},
        {"text": "bad", "image": "lost.png"},
        {"text": "fine", "image": ""},
    ]
    posts = write_rows(tmp_path / "some.csv", rows)
    said, path = embed("v.npz", "--of", "image", "--on-bad-image", "skip", posts=posts)
    assert "2 vectors" in said
    with np.load(path) as arrays:
        assert arrays["row"].tolist() == [1, 3]
        assert np.isnan(arrays["vector"]).all(1).tolist() == [False, True]
    _, path = embed("v.parquet", "--of", "image", "--on-bad-image", "missing", posts=posts)
    assert pd.read_parquet(path)["vector"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_run_goes_on_to_the_same_bytes(embed, jointune, tiny_bundle, posts_csv, tmp_path, name):
    _, whole = embed(f"whole-{name}")
    posts = write_rows(tmp_path / "posts.csv", [
        {"text": post.text, "image": str(post.image)} for post in read_posts(posts_csv)
    ])  # fmt: skip
    broken = tmp_path / "broken.png"
    (tmp_path / "posts.csv").write_text(posts.read_text().replace(str(posts_csv.parent / "40.png"), str(broken)))
    command = ("embed", tiny_bundle, posts, "--out", tmp_path / name, "--quiet")
    code, said = jointune(*command)
    assert code == 2
    assert "scored and kept: mend the picture files and go on with the same command and --resume" in said
    broken.write_bytes((posts_csv.parent / "40.png").read_bytes())
    code, said = jointune(*command, "--resume", "--of", "text")
    assert code == 2
    assert "--of" in said
    code, said = jointune(*command, "--resume")
    assert code == 0, said
    assert (tmp_path / name).read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"{name}.partial").exists()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("v.csv", (), ["v.csv: the ending .csv is not known; use one of .parquet, .npz"]),
        ("v.npz", ("--of", "audio"), ["--of audio: the model has no such vector; choose one of joint, text, image"]),
        ("v.npz", ("--id-column", "name"), ["--id-column name: posts.csv has no such column (there are: id, text"]),
        ("v.npz", ("--text-column", "words"), ["there is no column 'words'"]),
    ],
)
def test_what_cannot_be_written(refused, tiny_bundle, posts_csv, tmp_path, name, options, says):
    refused("embed", tiny_bundle, posts_csv, "--out", tmp_path / name, "--quiet", *options, says=says)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_spared(refused, embed, tiny_bundle, posts_csv, tmp_path):
    embed("v.npz")
    refused("embed", tiny_bundle, posts_csv, "--out", tmp_path / "v.npz", says=["exists already", "--force"])
    embed("v.npz", "--force")
