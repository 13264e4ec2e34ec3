"""One predictor for every use: it can be pickled and asked by several threads, and its chunks are bounded."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest

from jointune import JointClassifier, PostsError, read_posts
from jointune.data.post import Post
from jointune.data.read import PostsFile
from jointune.inference.load import load_predictor


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return load_predictor(tiny_bundle)


@pytest.fixture
def posts(posts_csv):
    return list(PostsFile(posts_csv))


def test_whoever_goes_on_after_a_chunk_gets_the_same_numbers(predictor, posts):
    predictor = replace(predictor, chunk_posts=10)
    chunks = list(predictor.chunks(posts))
    assert [chunk.read for chunk in chunks] == [10, 10, 10, 10, 8]
    assert [entry.post for chunk in chunks for entry in chunk.scored] == posts
    later = list(predictor.chunks(posts[20:]))
    for before, after in zip(chunks[2:], later, strict=True):
        assert [entry.post for entry in before.scored] == [entry.post for entry in after.scored]
        for one, other in zip(before.scored, after.scored, strict=True):
            np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_a_chunk_ends_earlier_where_its_rows_are_large(predictor):
    predictor = replace(predictor, chunk_bytes=100_000)
    posts = [Post("good " * (10_000 if number == 5 else 8_000)) for number in range(9)]
    assert [chunk.read for chunk in predictor.chunks(posts)] == [3, 3, 3]
    assert [chunk.read for chunk in predictor.chunks([Post("good " * 30_000)] * 2)] == [1, 1]


def test_chunks_before_a_bad_post_are_given_before_the_error(predictor, posts):
    predictor = replace(predictor, chunk_posts=10)
    posts[25] = Post("a", b"no picture", where="row 26")
    chunks = predictor.chunks(posts)
    assert [next(chunks).read, next(chunks).read] == [10, 10]
    with pytest.raises(PostsError, match="row 26"):
        next(chunks)
    (bad,) = [chunk for chunk in predictor.chunks(posts, "skip") if chunk.problems]
    assert (bad.read, len(bad.scored), bad.problems[0].where) == (10, 9, "row 26")


def test_a_stream_is_its_chunks_laid_end_to_end(predictor, posts):
    predictor = replace(predictor, chunk_posts=10)
    posts[25] = Post("a", b"no picture", where="row 26")
    problems = []
    streamed = list(predictor.stream(posts, "skip", problems))
    assert [entry.post for entry in streamed] == [post for post in posts if post.where != "row 26"]
    assert [problem.where for problem in problems] == ["row 26"]


@pytest.mark.parametrize("kind", ["tiny_bundle", "exported_model"])
def test_a_pickled_predictor_gives_the_same_probabilities(kind, request, posts):
    predictor = load_predictor(request.getfixturevalue(kind))
    again = pickle.loads(pickle.dumps(predictor))
    before, after = ([one.probabilities for one in each.stream(posts)] for each in (predictor, again))
    np.testing.assert_array_equal(before, after)
    assert (again.labels, again.about, again.card) == (predictor.labels, predictor.about, predictor.card)


def test_each_of_four_threads_gets_its_own_result(tiny_bundle, posts_csv):
    classifier = JointClassifier.load(tiny_bundle, device="cpu")
    every = read_posts(posts_csv)
    shares = [every[start::4] for start in range(4)]
    shares[1], shares[2] = shares[1].without("image"), shares[2].without("text")
    expected = [classifier.predict_proba(share) for share in shares]
    together = Barrier(4, timeout=60)

    def ask(share):
        together.wait()
        return [classifier.predict_proba(share) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        for rows, results in zip(expected, pool.map(ask, shares), strict=True):
            for result in results:
                np.testing.assert_array_equal(result, rows)
    assert not classifier.model_.training


def test_predicting_makes_no_predictor_anew(tiny_bundle, posts_csv):
    """It holds the model card, which takes long to write of many labels."""
    classifier = JointClassifier.load(tiny_bundle, device="cpu")
    predictor = classifier.predictor()
    classifier.predict(read_posts(posts_csv)[:2])
    classifier.evaluate(read_posts(posts_csv)[:4])
    assert classifier.predictor() is predictor
