"""Posts unlike the training posts: planted strangers, what is unusual about them, and the file."""

import numpy as np
import pytest

from jointune import BundleError
from jointune.evaluation.unlike import UNLIKE, TrainingVectors, read_training_vectors


def vectors(count, seed, **shifted):
    """Vectors of texts and images that come in pairs: one of three kinds, the same in both."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 3, count)
    centres = 8 * np.eye(3, 4)
    text, image = (centres[kinds] + random.normal(0, 0.5, (count, 4)) for _ in range(2))
    if "pairing" in shifted:
        image = image[np.argsort(kinds)][(np.argsort(np.argsort(kinds)) + count // 3) % count]
    made = {"text": text, "image": image}
    return {name: (rows + shifted.get(name, 0) * np.eye(1, 4, 3)).astype(np.float32) for name, rows in made.items()}


def compare(known, found, logits=None):
    return known.compare(found, np.zeros((len(found["text"]), 3)) if logits is None else logits, 3)


@pytest.fixture(scope="module")
def known():
    return TrainingVectors.of(vectors(600, 0), vectors(200, 1))


def test_one_validation_post_in_twenty_is_unusual(known):
    scores = np.array([one.unlike_score for one in compare(known, vectors(200, 1))])
    assert (scores > 1).mean() == pytest.approx(0.05, abs=0.006)
    assert (np.array([one.unlike_score for one in compare(known, vectors(1000, 2))]) > 1).mean() < 0.1


@pytest.mark.parametrize("part", ["text", "image"])
def test_what_is_unusual_is_named(known, part):
    found = list(compare(known, vectors(100, 3, **{part: 30})))
    assert np.mean([one.unlike_score > 1 for one in found]) == 1
    assert np.mean([one.unlike == part for one in found]) > 0.9
    assert {one.unlike for one in compare(known, vectors(50, 3, text=30, image=30))} == {"text+image"}


def test_a_pairing_is_unusual_though_its_parts_are_not(known):
    found = list(compare(known, vectors(300, 4, pairing=True)))
    assert np.mean([one.unlike == "pairing" for one in found]) > 0.8
    assert np.mean([one.parts["pairing"] > 1 > one.parts["text"] for one in found]) > 0.8


def test_the_greatest_logit_stands_beside_where_each_label_has_one(known):
    found = vectors(2, 4)
    logits = np.array([[0.5, -2.0, 3.25], [-1.0, -3.0, -2.0]])
    assert [one.max_logit for one in compare(known, found, logits)] == [3.25, -1.0]
    columns = ["unlike_score", "unlike", "unlike_text", "unlike_image", "unlike_pairing"]
    assert known.columns(3, 3) == [*columns, "max_logit"]
    assert known.columns(2, 3) == columns
    for kept, labels in ((3, 3), (2, 3)):
        (one, _) = known.compare(found, logits[:, :kept], labels)
        assert len(one.cells()) == len(known.columns(kept, labels))
        assert ("max_logit" in one.response()) == (kept == labels)


def test_a_post_without_a_modality_is_judged_by_the_rest(known):
    alone = vectors(50, 5, text=30)
    alone["image"][:] = np.nan
    assert {one.unlike for one in compare(known, alone)} == {"text"}
    nothing = {name: np.full((1, rows.shape[1]), np.nan) for name, rows in alone.items()}
    (one,) = compare(known, nothing)
    assert one.unlike == "kind"
    assert one.response()["unlike_parts"] == {}
    assert one.unlike_score > 1


def test_without_validation_posts_nothing_is_usual():
    nobody = {name: rows[:0] for name, rows in vectors(5, 0).items()}
    assert TrainingVectors.of(vectors(20, 0), nobody) is None
    lacking = vectors(20, 1)
    lacking["image"][:] = np.nan
    assert list(TrainingVectors.of(vectors(20, 0), lacking).spaces) == ["text"]


def test_vectors_are_kept_in_half_precision(known, tmp_path):
    known.save(tmp_path / UNLIKE)
    again = read_training_vectors(tmp_path, "bundle")
    assert again.spaces["text"].rows.dtype == np.float16
    assert list(compare(again, vectors(20, 6))) == list(compare(known, vectors(20, 6)))
    assert read_training_vectors(tmp_path / "nowhere", "bundle") is None


@pytest.mark.parametrize(
    "change",
    [
        {"usual": np.array(0.0)},
        {"usual": np.array([1.0, 2.0])},
        {"text.scale": np.array([np.nan, 1.0])},
        {"text.scale": np.array([1.0, 1.0])},
        {"text.scale": np.array([1.0])},
        {"text.mean": np.zeros(3)},
        {"text.matrix": np.zeros((4, 3))},
        {"text+image.first.matrix": np.zeros((4, 3))},
        {"text+image.second.mean": np.zeros(3)},
        {"text.rows": np.full((2, 4), np.inf)},
        {"text.rows": np.zeros((0, 4))},
        {"text.rows": np.array([[None] * 4], dtype=object)},
        {"text.mean": None},
        {"text+image.second.mean": None},
        {"usual": None},
    ],
)
def test_damaged_vectors_are_refused(known, tmp_path, change):
    path = tmp_path / UNLIKE
    known.save(path)
    with np.load(path) as file:
        arrays = {**file} | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(BundleError, match=UNLIKE):
        read_training_vectors(tmp_path, "bundle")


def test_other_files_are_refused(known, tmp_path):
    path = tmp_path / UNLIKE
    known.save(path)
    whole = path.read_bytes()
    with np.load(path) as file:
        np.savez_compressed(tmp_path / "small.npz", **file)
    for content in (b"no archive", b"", whole[: len(whole) // 2], (tmp_path / "small.npz").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=UNLIKE):
            read_training_vectors(tmp_path, "bundle")
