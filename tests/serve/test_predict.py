"""POST /predict: the same numbers as `jointune predict`, and a clear refusal of everything else."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from helpers.made_predictor import make_predictor
from helpers.odd_pictures import bomb, unusable, usable
from jointune.data.post import Post
from jointune.inference.load import load_predictor
from serve.conftest import file_of, wait_for

EDGE = "edge"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def row_of(predictor, answer) -> list[float]:
    return [answer["probabilities"][label] for label in predictor.labels]


def assert_refused(response, status: int, *says: str) -> None:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"reason", "remedy"}
    assert all(error.values())
    assert not [part for part in says if part not in error["reason"] + "; " + error["remedy"]], error


def test_the_numbers_are_those_of_predict(service, tiny_bundle, posts_csv, tmp_path):
    predictor = load_predictor(tiny_bundle)
    client = service(predictor)
    pictures = [path for kind, path in usable(tmp_path).items() if path.suffix in (".jpg", ".png", ".webp", ".gif")]
    posts = [Post(text, path) for text, path in zip(["good lunch", "bad", " ", None] * 9, pictures, strict=False)]
    posts += [Post(text=f"happy sun {n}") for n in range(5)]
    posts = [Post((post.text or "").strip() or None, post.image) for post in posts]
    expected = np.stack([scored.probabilities for scored in predictor.stream(posts)])

    given = [{"text": post.text, "image": post.image and encoded(post.image.read_bytes())} for post in posts]
    answers = client.post("/predict", json={"posts": given}).json()
    np.testing.assert_allclose([row_of(predictor, one) for one in answers], expected, atol=1e-6)
    assert [one["label"] for one in answers] == [predictor.labels[best] for best in expected.argmax(1)]
    np.testing.assert_allclose([one["confidence"] for one in answers], expected.max(1), atol=1e-6)

    one = client.post("/predict", json=given[0]).json()
    np.testing.assert_allclose(row_of(predictor, one), expected[0], atol=1e-6)
    files = {"image": ("x.jpg", posts[0].image.read_bytes(), "image/jpeg")}
    form = client.post("/predict", data={"text": posts[0].text}, files=files).json()
    np.testing.assert_allclose(row_of(predictor, form), expected[0], atol=1e-6)


def test_it_says_what_is_missing(service, red):
    client = service()
    assert client.post("/predict", json={"text": "good", "image": encoded(red)}).json()["missing"] == []
    assert client.post("/predict", json={"text": "good", "image": None}).json()["missing"] == ["image"]
    assert client.post("/predict", json={"text": "  ", "image": encoded(red)}).json()["missing"] == ["text"]
    form = {"text": (None, "good"), "image": ("", b"", "application/octet-stream")}  # as browsers send an empty field
    assert client.post("/predict", files=form).json()["missing"] == ["image"]
    several = client.post("/predict", json={"posts": [{"text": "good"}, {"image": encoded(red)}]}).json()
    assert [one["missing"] for one in several] == [["image"], ["text"]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, ["neither a text nor a picture"]),
        ({"text": " ", "image": ""}, ["neither a text nor a picture"]),
        ({"text": 3}, ["text", "string"]),
        ({"text": "good", "picture": "x"}, ["picture", "leave the field out"]),
        ({"text": "good", "image": "%%%"}, ["image", "not base64"]),
        ({"image": 7}, ["image"]),
        ({"image": ["a"]}, ["image"]),
        ([], ["object"]),
        ("good", ["object"]),
        ({"posts": []}, ["at least 1"]),
        ({"posts": [{"text": "good"}] * 65}, ["at most 64", "several smaller requests"]),
        ({"posts": [{"text": "good"}, {"text": "good", "image": "%"}]}, ["posts[1].image", "not base64"]),
        ({"posts": [{"text": "good"}, {}]}, ["posts[1]", "neither"]),
        ({"posts": [{"text": "good"}], "text": "good"}, ["text"]),
        ({"image_url": "https://example.org/x.png"}, ["fetches nothing", "allow_urls"]),
        ({"posts": [{"image_url": "https://example.org/x.png"}]}, ["posts[0].image_url"]),
    ],
)
def test_what_is_no_post_is_refused(service, body, says):
    assert_refused(service().post("/predict", json=body), 422, *says)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"text": "half \\ud83d"}', b"[" * 1000])
def test_what_is_no_json_is_refused(service, body):
    response = service().post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert_refused(response, 400, "JSON")


def form(*parts: tuple[str, bytes], end: bytes = b"--edge--\r\n") -> bytes:
    heads = [(f"--{EDGE}\r\n{head}\r\n\r\n".encode(), content) for head, content in parts]
    return b"".join(head + content + b"\r\n" for head, content in heads) + end


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "cut off"),
        (b"nonsense", 400, "not multipart"),
        (form(('Content-Disposition: form-data; name="text"', b"good"), end=b""), 400, "cut off"),
        (form(("Content-Type: text/plain", b"good")), 400, "no name"),
        (form(*[('Content-Disposition: form-data; name="text"', b"good")] * 2), 422, "twice"),
        (form(*[(f'Content-Disposition: form-data; name="{n}"', b"") for n in range(73)]), 422, "more than 72"),
        (form(('Content-Disposition: form-data; name="text"', b"\xff")), 422, "not UTF-8"),
        (form(('Content-Disposition: form-data; name="posts"', b"[]")), 422, "posts"),
    ],
)
def test_what_is_no_form_is_refused(service, body, status, says):
    headers = {"Content-Type": f"multipart/form-data; boundary={EDGE}"}
    assert_refused(service().post("/predict", content=body, headers=headers), status, says)


def test_a_form_without_a_boundary_is_refused(service):
    response = service().post("/predict", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert_refused(response, 400, "boundary")


@pytest.mark.parametrize("kind", ["text/plain", "", "application/jsonp", "application/x-www-form-urlencoded"])
def test_other_bodies_are_refused(service, kind):
    assert_refused(service().post("/predict", content=b"text=good", headers={"Content-Type": kind}), 415)


def test_pictures_that_cannot_be_used_are_refused(service, tmp_path):
    client = service()
    for kind, (path, _) in unusable(tmp_path).items():
        if not path.is_file() or not path.stat().st_size:
            continue
        response = client.post("/predict", json={"text": "good", "image": encoded(path.read_bytes())})
        expected = {"bomb": 413}.get(kind) or (422 if path.suffix in (".jpg", ".png", ".webp", ".gif") else 415)
        if kind in ("only a header", "svg", "pdf", "html", "postscript"):
            expected = 415
        assert_refused(response, expected, "image")


@pytest.mark.parametrize("form", ["BMP", "TIFF", "PPM", "ICO", "AVIF", "PCX", "TGA", "EPS"])
def test_other_formats_are_refused(service, form):
    content = file_of(Image.new("RGB", (20, 20), "red"), form)
    assert_refused(service().post("/predict", json={"image": encoded(content)}), 415, "JPEG, PNG, WEBP, GIF")


def test_large_pictures_are_refused(service, red):
    assert_refused(service().post("/predict", json={"image": encoded(bomb())}), 413, "pixels", "smaller")
    assert_refused(service(image_pixels=1199).post("/predict", json={"image": encoded(red)}), 413, "1,199 pixels")
    assert service(image_pixels=1200).post("/predict", json={"image": encoded(red)}).status_code == 200
    small = service(image_bytes=len(red) - 1)
    assert_refused(small.post("/predict", json={"image": encoded(red)}), 413, "bytes")
    assert service(image_bytes=len(red)).post("/predict", json={"image": encoded(red)}).status_code == 200


def test_large_bodies_are_refused(service):
    client = service(body_bytes=1000)
    body = json.dumps({"text": "x" * 1000}).encode()
    headers = {"Content-Type": "application/json"}
    assert_refused(client.post("/predict", content=body, headers=headers), 413, "1,000 bytes")
    chunks = (body[start : start + 100] for start in range(0, len(body), 100))
    response = client.post("/predict", content=chunks, headers=headers)
    assert_refused(response, 413, "1,000 bytes")
    assert response.headers["connection"] == "close"
    assert client.post("/predict", json={"text": "x" * 900}).status_code == 200


def test_too_many_bytes_at_a_time_are_refused(service):
    gate = threading.Event()
    gate.set()
    client = service(make_predictor(gate=gate), body_bytes=1000)
    gate.clear()
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(client.post, "/predict", json={"text": "x" * 900}) for _ in range(4)]
        wait_for(lambda: "jointune_waiting_posts 4" in client.get("/metrics").text)
        assert_refused(client.post("/predict", json={"text": "x" * 900}), 503, "too many large requests")
        gate.set()
        assert {answer.result().status_code for answer in held} == {200}
    assert client.post("/predict", json={"text": "x" * 900}).status_code == 200  # what they held is free again


def test_a_batch_that_fails_fails_alone(service):
    predictor = make_predictor()
    calls = []

    def run(batches, count):
        calls.append(count)
        if len(calls) == 5:
            raise ValueError("secret words of a post")
        return predictor.probabilities(batches, count)

    client = service(replace(predictor, probabilities=run))  # warmed up by three posts
    assert client.post("/predict", json={"text": "good"}).status_code == 200
    response = client.post("/predict", json={"text": "good"})
    assert_refused(response, 500, "an error of the server", response.headers["x-request-id"])
    assert "secret" not in response.text
    assert client.post("/predict", json={"text": "good"}).status_code == 200
