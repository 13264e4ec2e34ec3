"""Several images a post, from the table to the answer: training, commands, comparison, export, the service."""

import base64
import csv
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import write_rows
from jointune import JointClassifier, JointuneWarning, compare, read_posts
from jointune.data.post import Post, Posts
from jointune.encoders.encoder_output import EncoderOutput, join_items
from jointune.inference.load import load_predictor
from jointune.modalities.batch import Batch, item_places, split_batch
from jointune.modalities.image.pixels import ImagePreprocessor

POOLING = ("gated", "concat", "paper", "cross-attention", "mual", "splitting", "dual")
"""The fusions in which four copies of an image count as one."""


@pytest.fixture(scope="module")
def albums(posts_csv, tmp_path_factory):
    """The posts of ``posts_csv``, of which every third has several images; paths are absolute."""
    with open(posts_csv, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [str(posts_csv.parent / row["image"]) for row in rows]
    for number, row in enumerate(rows):
        several = paths[number : number + 3 : 2]
        row["image"] = (paths[number], ";".join(several), json.dumps([*several, paths[number]]))[number % 3]
    return write_rows(tmp_path_factory.mktemp("albums") / "posts.csv", rows)


@pytest.fixture(scope="module")
def classifier(albums, tiny_settings):
    posts = read_posts(albums, split_column="split")
    return JointClassifier(**tiny_settings).fit(posts)


def output_of(count: int, seed: int = 0) -> EncoderOutput:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return EncoderOutput(
            torch.randn(count, 5, 8),
            torch.ones(count, 5, dtype=torch.bool),
            torch.randn(count, 8),
            torch.randn(count, 4),
        )


@pytest.mark.parametrize("weights", [torch.zeros(8), torch.linspace(-20, 20, 8)])
def test_outputs_are_joined_post_by_post(weights):
    output, items = output_of(6), torch.from_numpy(item_places([1, 3, 2]))
    joined = join_items(output, items, weights)
    assert joined.tokens.shape == (3, 15, 8)
    assert joined.mask.sum(1).tolist() == [5, 15, 10]
    # To the last bit: a single image in a batch where others have several.
    assert torch.equal(joined.pooled[0], output.pooled[0])
    assert torch.equal(joined.hidden[0], output.hidden[0])
    assert torch.equal(joined.tokens[1][joined.mask[1]], output.tokens[1:4].flatten(0, 1))
    if not weights.any():
        torch.testing.assert_close(joined.pooled[1], output.pooled[1:4].mean(0))
    shuffled = join_items(output, items[:, [2, 0, 1]], weights)
    torch.testing.assert_close(shuffled.pooled, joined.pooled)


def test_attention_is_learned_from_its_first_step():
    weights = torch.zeros(8, requires_grad=True)
    join_items(output_of(4), torch.from_numpy(item_places([2, 2])), weights).pooled.square().sum().backward()
    assert weights.grad.abs().min() > 0


def test_a_batch_is_divided_with_its_items():
    preprocessor = ImagePreprocessor((1, 1), (1, 1))
    counts = [2, 0, 1, 3, 1, 1]
    pixels = np.arange(8, dtype=np.uint8).repeat(3).reshape(8, 1, 1, 3)
    present = np.array(counts)[:, None] > 0
    items = {"image": item_places([count for count in counts if count])}
    whole = Batch(np.arange(6), present, {"image": {"pixels": pixels}}, items=items)
    seen = []
    for part in split_batch(whole, 2, {"image": preprocessor}):
        own = part.inputs["image"]["pixels"][:, 0, 0, 0]
        places = part.items.get("image", np.arange(len(own))[:, None])
        seen += [own[row[row >= 0]].tolist() for row in places]
    assert seen == [[0, 1], [2], [3, 4, 5], [6], [7]]
    assert ["image" in part.items for part in split_batch(whole, 2, {"image": preprocessor})] == [True, True, False]


@pytest.mark.parametrize("fusion", POOLING)
def test_four_copies_count_as_one_and_their_order_does_not(fusion, posts_csv, tiny_settings):
    posts = read_posts(posts_csv, split_column="split")[:24]
    trained = JointClassifier(**tiny_settings | {"fusion": fusion, "epochs": 1}).fit(posts, validation=0.25)
    with torch.no_grad():
        trained.model_.attention["image"].normal_()
    once = trained.predict_proba(posts)
    copies = Posts(replace(post, image=post.images * 4) for post in posts)
    np.testing.assert_allclose(trained.predict_proba(copies), once, atol=1e-5)
    pairs = Posts(replace(one, image=(*one.images, *two.images)) for one, two in pairwise(posts))
    turned = Posts(replace(post, image=post.images[::-1]) for post in pairs)
    np.testing.assert_allclose(trained.predict_proba(turned), trained.predict_proba(pairs), atol=1e-5)


def test_single_stream_takes_several_images_in_any_order(albums, tiny_settings):
    trained = JointClassifier(**tiny_settings | {"fusion": "single-stream"}).fit(
        read_posts(albums, split_column="split")
    )
    posts = read_posts(albums)
    turned = Posts(replace(post, image=post.images[::-1]) for post in posts)
    np.testing.assert_allclose(trained.predict_proba(turned), trained.predict_proba(posts), atol=1e-5)


@pytest.mark.parametrize("train_layers", [None, 1])
def test_training_learns_the_attention_and_a_bundle_keeps_it(train_layers, albums, tiny_settings, tmp_path):
    settings = tiny_settings | {"train_layers": train_layers, "max_images": 3, "frames": 2}
    trained = JointClassifier(**settings).fit(read_posts(albums, split_column="split"))
    assert trained.model_.attention["image"].abs().max() > 0
    trained.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle", device="cpu")
    posts = read_posts(albums)
    assert np.array_equal(loaded.predict_proba(posts), trained.predict_proba(posts))
    predictor = load_predictor(tmp_path / "bundle")
    assert (predictor.image.max_images, predictor.image.frames) == (3, 2)


def test_posts_of_one_image_leave_the_attention_as_it_is(tiny_bundle):
    loaded = JointClassifier.load(tiny_bundle, device="cpu")
    assert not loaded.model_.attention["image"].any()


def test_further_images_are_cut_and_counted(posts_csv, classifier, tiny_settings):
    posts = read_posts(posts_csv, split_column="split")
    many = Posts(replace(post, image=post.images * (6 if number % 8 == 0 else 1)) for number, post in enumerate(posts))
    with pytest.warns(JointuneWarning, match="6 posts have more than 4 pictures: the first 4 of them are used"):
        cut = classifier.predict_proba(many)
    np.testing.assert_allclose(cut, classifier.predict_proba(posts), atol=1e-5)
    with pytest.warns(JointuneWarning, match="more than 2 pictures"):
        trained = JointClassifier(**tiny_settings | {"max_images": 2}).fit(many)
    assert any("the first 2 of them are used" in note for note in trained.notes_)
    one = trained.predictor().with_images(1, None)
    with pytest.warns(JointuneWarning, match="more than 1 picture: the first of them is used"):
        list(one.stream(many))


@pytest.mark.parametrize(("policy", "kept"), [("skip", 1), ("missing", 2)])
def test_the_policy_is_about_the_bad_image_alone(policy, kept, classifier, posts_csv, tmp_path):
    good = posts_csv.parent / "0.png"
    (tmp_path / "bad.png").write_bytes(b"no picture")
    posts = [Post("a", [good, tmp_path / "bad.png"], where="row 1"), Post("b", good, where="row 2")]
    problems = []
    scored = list(classifier.predictor().stream(posts, policy, problems))
    assert [problem.what for problem in problems] == [f"picture 2 of 2, {tmp_path / 'bad.png'}"]
    assert len(scored) == kept
    if policy == "missing":
        (alone,) = classifier.predict_proba([Post("a", good)])
        assert np.array_equal(scored[0].probabilities, alone)
    with pytest.raises(ValueError, match=r"row 1: picture 2 of 2, .*bad\.png: not a picture"):
        classifier.predict_proba(posts)


def test_images_alone_go_on_without_a_bad_one(classifier, posts_csv):
    post = Post(None, [b"broken", posts_csv.parent / "0.png"], where="row 1")
    assert len(list(classifier.predictor().stream([post], "missing"))) == 1


def test_frames_count_as_images_given_by_hand(classifier, tmp_path):
    frames = [Image.new("RGB", (40, 36), colour) for colour in ("yellow", "navy", "red", "white")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=50)
    for number, frame in enumerate(frames):
        frame.save(tmp_path / f"{number}.png")
    by_hand = classifier.predict_proba([Post("a", [tmp_path / f"{number}.png" for number in range(4)])])
    moving = Post("a", tmp_path / "moving.gif")
    (scored,) = classifier.predictor().with_images(None, 4).stream([moving])
    np.testing.assert_allclose(scored.probabilities, by_hand[0], atol=1e-5)
    first = classifier.predict_proba([Post("a", tmp_path / "0.png")])
    np.testing.assert_allclose(classifier.predict_proba([moving]), first, atol=1e-6)


def test_training_stores_each_frame_once(posts_csv, tiny_settings, tmp_path):
    rows = []
    for number in range(24):
        frames = [
            Image.new("RGB", (40, 36), colour) for colour in (("yellow", "navy")[number % 2], "red", (number,) * 3)
        ]
        frames[0].save(tmp_path / f"{number}.gif", save_all=True, append_images=frames[1:], duration=50)
        rows.append({"text": f"good {number}", "image": f"{number}.gif", "label": ("a", "b")[number % 2]})
    posts = read_posts(write_rows(tmp_path / "posts.csv", rows))
    first, second = (
        JointClassifier(**tiny_settings, frames=3).fit(posts, validation=0.25).predict_proba(posts) for _ in range(2)
    )  # the second from the images that the first run kept
    assert np.array_equal(first, second)


def test_the_commands_know_several_images(jointune, refused, albums, tiny_bundle, tmp_path):
    code, said = jointune("check", albums, "--max-images", "2")
    assert code == 0, said
    assert "48 with a picture (" in said
    assert "15 posts have more than 2 pictures: the first 2 of them are used" in " ".join(said.split())
    scored = tmp_path / "scored.csv"
    code, said = jointune("predict", tiny_bundle, albums, "--max-images", "2", "--frames", "3", "--out", scored)
    assert code == 0, said
    assert "more than 2 pictures" in said
    code, said = jointune("evaluate", tiny_bundle, albums, "--out", tmp_path / "scores.json")
    assert code == 0, said
    columns = write_rows(tmp_path / "columns.csv", [{"text": "good", "first": "a.png", "second": "b.png"}])
    for name in ("a", "b"):
        Image.new("RGB", (40, 36), "yellow").save(tmp_path / f"{name}.png")
    out = tmp_path / "columns.scored.csv"
    code, said = jointune("predict", tiny_bundle, columns, "--image-column", "first,second", "--out", out)
    assert code == 0, said
    (tmp_path / "b.png").write_bytes(b"")
    never = tmp_path / "never.csv"
    says = ["columns.csv row 1 (line 2): picture 2 of 2", "b.png: an empty file of 0 bytes"]
    refused("predict", tiny_bundle, columns, "--image-column", "first,second", "--out", never, says=says)
    refused("predict", tiny_bundle, albums, "--frames", "0", "--out", never, says=["--frames 0", "between 1 and 1000"])
    refused("predict", tiny_bundle, albums, "--max-images", "0", "--out", never, says=["--max-images 0"])


def test_methods_are_compared_on_several_images(albums, tiny_settings, tmp_path, cells_here):
    settings = {name: value for name, value in tiny_settings.items() if name not in ("seed", "progress")}
    with cells_here(), pytest.warns(JointuneWarning, match="more than 2 pictures"):
        comparison = compare(
            read_posts(albums), methods=["frozen", "image"], folds=2, out=tmp_path / "report", max_images=2, **settings
        )
    assert {row["method"] for row in comparison.table()} == {"frozen", "image"}


def test_an_exported_graph_takes_several_images(classifier, albums, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    from jointune.export.exporter import export

    with torch.no_grad():
        classifier.model_.attention["image"].normal_()
    posts = read_posts(albums)
    export(classifier, tmp_path / "exported", posts=posts[:20])
    predictor = load_predictor(tmp_path / "exported")
    rows = np.stack([scored.probabilities for scored in predictor.stream(posts)])
    np.testing.assert_allclose(rows, classifier.predict_proba(posts), atol=1e-4)
    described = json.loads((tmp_path / "exported" / "export.json").read_text())["inputs"]
    assert list(described)[-1] == "image_items"


def test_the_service_takes_several_images(classifier, posts_csv):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app
    from jointune.serve.limits import Limits

    paths = [posts_csv.parent / f"{number}.png" for number in range(5)]
    files = [path.read_bytes() for path in paths]
    coded = [base64.b64encode(content).decode() for content in files]
    (expected,) = classifier.predict_proba([Post("good", paths[:3])])
    with TestClient(make_app(classifier.predictor(), Limits()), "http://localhost:8000") as client:

        def ask(**request):
            answer = client.post("/predict", **request)
            return answer.status_code, answer.json()

        def row(answer):
            return [answer["probabilities"][label] for label in classifier.classes_]

        status, answer = ask(json={"text": "good", "image": coded[:3]})
        assert (status, "notes" in answer) == (200, False)
        np.testing.assert_allclose(row(answer), expected, atol=1e-6)
        parts = [("image", (f"{number}.png", content)) for number, content in enumerate(files[:3])]
        assert ask(data={"text": "good"}, files=parts)[1] == answer
        status, answer = ask(json={"text": "good", "image": coded})
        assert (status, answer["notes"]) == (200, ["1 post has more than 4 pictures: the first 4 of them are used"])
        for image, says in (
            ([coded[0], "%%%"], "image"),
            ([coded[0], 7], "image"),
            ([[coded[0]]], "image"),
            (coded * 20, "image"),
            ([coded[0], base64.b64encode(b"broken").decode()], "image[1]: not a picture"),
        ):
            status, answer = ask(json={"posts": [{"text": "good", "image": image}]})
            assert status in (415, 422)
            assert says in answer["error"]["reason"]
        assert ask(json={"text": "good", "image": []})[1]["missing"] == ["image"]
        status, answer = ask(files=[("text", (None, "a")), ("text", (None, "b"))])
        assert (status, answer["error"]["reason"]) == (422, "text: given twice")
