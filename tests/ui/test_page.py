"""The page as a browser gets it."""

import re

import pytest

pytest.importorskip("gradio", reason="the extra ui is not installed")

from dataclasses import replace

from starlette.testclient import TestClient

from conftest import write_rows
from jointune.ui.examples import Example, examples
from jointune.ui.offline import load_gradio
from serve.made_scorer import make_scorer


@pytest.fixture
def client(tmp_path, monkeypatch):
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")  # so that it is restored
    load_gradio(tmp_path)
    from jointune.ui.run import make_app

    card = "# A made model\n\n![](https://example.org/a.png)"
    scorer = make_scorer()
    app = make_app(replace(scorer, card=card), tmp_path, "made", examples(scorer.labels, tmp_path))
    with TestClient(app) as client:
        yield client


def test_what_was_uploaded_and_scored_goes_after_a_day_and_nothing_else(tmp_path, client):
    from gradio.route_utils import delete_files_created_by_app

    page = client.app.routes[-1].app.get_blocks()
    assert page.delete_cache == (60 * 60, 24 * 60 * 60)
    (score,) = [event.fn for event in page.fns.values() if event.fn.__name__ == "score"]
    table = write_rows(tmp_path / "posts.csv", [{"text": "good"}])
    score(str(table), None)
    kept = set(tmp_path.rglob("*.webp"))
    assert kept
    assert len(list(tmp_path.rglob("*.scored.csv"))) == 1
    delete_files_created_by_app(page, age=0)
    assert not list(tmp_path.rglob("*.scored.csv"))
    assert set(tmp_path.rglob("*.webp")) == kept


def test_it_says_which_model_this_is(tmp_path, client):
    from jointune.ui.run import make_app

    about = {
        "text_encoder": {"name": "some-bert"},
        "image_encoder": {"name": "some-vit"},
        "data": {"training": {"negative": 700, "positive": 500}},
        "metrics": {"validation": {"accuracy": 0.75, "accuracy_ci": [0.7, 0.8], "n": 1100}},
    }
    scorer = replace(make_scorer(), about=about)

    def page(*examples: Example) -> str:
        with TestClient(make_app(scorer, tmp_path, "my <model>", examples)) as named:
            return " ".join(str(part["props"].get("value")) for part in named.get("/config").json()["components"])

    shown = page(Example("only words", None))
    assert "<h1>my &lt;model&gt;</h1>" in shown
    assert "negative, neutral, positive" in shown
    assert "some-bert and some-vit, fine-tuned jointly on 1,200 posts." in shown
    assert "Accuracy 0.750 (0.700 to 0.800) on 1,100 validation posts." in shown
    assert "only words" in shown
    assert "Or try one of these" in shown
    assert "Or try one of these" not in page()


def test_nothing_is_loaded_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200
    # Also where a model card names a picture.
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "http" not in page.headers["Content-Security-Policy"]
    assert not re.findall(r"<(?:script|link)\b[^>]*(?:src|href)=\"https?://(?!testserver)[^>]*>", page.text)
    assert not re.findall(r"@import|url\(.?https?:", client.get("/theme.css").text)


def test_there_is_no_api_and_no_analytics(client):
    config = client.get("/config").json()
    assert not config["analytics_enabled"]
    assert not config.get("footer_links")
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}
    assert client.get("/openapi.json").status_code == client.get("/docs").status_code == 404
