"""Whatever is sent: an answer in the one shape, and no 5xx but 503."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from helpers.made_predictor import make_predictor
from jointune.serve.app import make_app
from jointune.serve.limits import Limits
from serve.conftest import file_of

PICTURES = [file_of(Image.effect_noise((40, 30), 60).convert("RGB"), form) for form in ("JPEG", "PNG", "WEBP", "GIF")]


@pytest.fixture(scope="module")
def client():
    app = make_app(make_predictor(), Limits(body_bytes=1_000_000))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as made:
        yield made


@st.composite
def pictures(draw):
    """A picture's file with a few bytes changed, cut or added."""
    content = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(content[: draw(st.integers(len(content) // 2, len(content) + 8))])


texts = st.text(st.characters(exclude_categories=[]), max_size=40)
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just({}), st.just([]))
images = st.one_of(pictures(), st.binary(max_size=60)).map(lambda content: base64.b64encode(content).decode())
posts = st.fixed_dictionaries(
    {}, optional={"text": texts | values, "image": images | values, "image_url": texts | values, "more": values}
)
bodies = st.one_of(posts, st.fixed_dictionaries({"posts": st.lists(posts, max_size=5) | values}), values)
fuzzed = settings(deadline=None, max_examples=120, derandomize=True, suppress_health_check=list(HealthCheck))


def assert_answered(response) -> None:
    assert response.status_code < 500 or response.status_code == 503, response.text
    told = response.json()
    if response.status_code == 200:
        for answer in told if isinstance(told, list) else [told]:
            assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
            assert answer["confidence"] == max(answer["probabilities"].values())
    else:
        assert set(told["error"]) == {"reason", "remedy"}


@fuzzed
@given(bodies)
def test_json(client, body):
    content = json.dumps(body).encode()
    assert_answered(client.post("/predict", content=content, headers={"Content-Type": "application/json"}))


@fuzzed
@given(pictures() | st.binary(max_size=200), texts)
def test_forms(client, picture, text):
    files = {"image": ("x", picture), "text": (None, text.encode("utf-8", "surrogatepass"))}
    assert_answered(client.post("/predict", files=files))


@fuzzed
@given(
    st.sampled_from(["application/json", "multipart/form-data; boundary=e", "multipart/form-data", "text/html"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    st.binary(max_size=300)
    | st.lists(
        st.sampled_from([b"--e", b"\r\n", b"--", b"Content-Disposition: form-data; name=", b'"text"', b";", b"x", b"{"])
    ).map(b"".join),
)
def test_bytes(client, kind, content):
    assert_answered(client.post("/predict", content=content, headers={"Content-Type": kind}))


@pytest.mark.slow
def test_schemathesis(running, tmp_path):
    pytest.importorskip("schemathesis")
    command = ["run", running().url + "/openapi.json", "--max-examples", "50", "--continue-on-failure"]
    # What a schema cannot say: that base64 is that of a picture, and that a text is not blank; and that in a form an
    # object is as good a text as any.
    command += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection", "--no-color"]
    program = Path(sys.executable).parent / "schemathesis"
    done = subprocess.run([program, *command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
