"""The page as a browser gets it."""

import re

import pytest

pytest.importorskip("gradio", reason="the extra ui is not installed")

from dataclasses import replace

from starlette.testclient import TestClient

from conftest import write_rows
from jointune.ui.offline import load_gradio
from serve.made_scorer import make_scorer


@pytest.fixture
def client(tmp_path, monkeypatch):
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")  # so that it is restored
    load_gradio(tmp_path)
    from jointune.ui.run import make_app

    card = "# A made model\n\n![](https://example.org/a.png)"
    with TestClient(make_app(replace(make_scorer(), card=card), tmp_path)) as client:
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
