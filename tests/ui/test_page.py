"""The page as a browser gets it."""

import re
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra ui is not installed")

from dataclasses import replace

from starlette.testclient import TestClient

from conftest import draw, write_rows
from helpers.made_predictor import make_predictor
from helpers.shown_page import LEAVES_OPEN, shown_page
from jointune.ui.examples import Example, choose_examples

pytestmark = LEAVES_OPEN


@pytest.fixture
def client(tmp_path):
    predictor = replace(make_predictor(), card="# A made model\n\n![](https://example.org/a.png)")
    shown = choose_examples(predictor.labels, tmp_path)
    with shown_page(predictor, tmp_path, name="made", examples=shown) as client:
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
    from jointune.ui.launch import make_app

    about = {
        "text_encoder": {"name": "some-bert"},
        "image_encoder": {"name": "some-vit"},
        "data": {"training": {"negative": 700, "positive": 500}},
        "metrics": {"validation": {"accuracy": 0.75, "accuracy_ci": [0.7, 0.8], "n": 1100}},
    }
    predictor = replace(make_predictor(), about=about)

    def page(*examples: Example) -> str:
        with TestClient(make_app(predictor, tmp_path, "my <model>", examples), "http://localhost") as named:
            return " ".join(str(part["props"].get("value")) for part in named.get("/config").json()["components"])

    shown = page(Example("only words", None))
    assert "<h1>my &lt;model&gt;</h1>" in shown
    assert "negative, neutral, positive" in shown
    assert "some-bert and some-vit, fine-tuned jointly on 1,200 posts." in shown
    assert "Accuracy 0.750 (0.700 to 0.800) on 1,100 validation posts." in shown
    assert "only words" in shown
    assert "Or try one of these" in shown
    assert "Or try one of these" not in page()


@pytest.fixture
def ask(client):
    """Ask an event of the page about texts and files, as anybody may: ``ask("score", [Path("a.csv"), None])``."""

    def described(given: object) -> object:
        return {"path": str(given), "meta": {"_type": "gradio.FileData"}} if isinstance(given, Path) else given

    def ask(name: str, inputs: list) -> str:
        events = client.app.routes[-1].app.get_blocks().fns
        number = next(number for number, event in events.items() if event.fn.__name__ == name)
        data = [[described(one) for one in given] if isinstance(given, list) else described(given) for given in inputs]
        body = {"data": data, "fn_index": number, "session_hash": "me"}
        client.post("/gradio_api/queue/join", json=body).raise_for_status()
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "me"}) as stream:
            return next(line for line in stream.iter_lines() if "process_completed" in line)

    return ask


def test_a_table_of_the_machine_is_not_handed_out(tmp_path_factory, ask):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    secret = write_rows(elsewhere / "secret.csv", [{"text": "the secret"}])
    answer = ask("score", [secret, None])
    assert '"success":false' in answer
    assert "secret.scored" not in answer
    assert "the secret" not in answer


def test_a_picture_of_the_machine_is_not_judged(tmp_path_factory, ask):
    picture = tmp_path_factory.mktemp("elsewhere") / "a.png"
    draw(picture, "red", 1)
    assert '"success":false' in ask("answer", ["", picture, None])
    assert '"success":false' in ask("answer", ["", None, [picture]])


def test_a_link_among_the_uploads_leads_nowhere(tmp_path, tmp_path_factory, ask):
    secret = write_rows(tmp_path_factory.mktemp("elsewhere") / "secret.csv", [{"text": "the secret"}])
    (tmp_path / "link.csv").symlink_to(secret)
    assert "the secret" not in ask("score", [tmp_path / "link.csv", None])


def test_an_uploaded_table_is_scored(tmp_path, ask):
    table = write_rows(tmp_path / "posts.csv", [{"text": "good"}])
    assert "1 of 1 row scored." in ask("score", [table, None])


def test_nothing_is_loaded_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200
    # Also where a model card names a picture.
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "http" not in page.headers["Content-Security-Policy"]
    assert not re.findall(r"<(?:script|link)\b[^>]*(?:src|href)=\"https?://(?!localhost)[^>]*>", page.text)
    assert not re.findall(r"@import|url\(.?https?:", client.get("/theme.css").text)


def test_there_is_no_api_and_no_analytics(client):
    config = client.get("/config").json()
    assert not config["analytics_enabled"]
    assert not config.get("footer_links")
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}
    assert client.get("/openapi.json").status_code == client.get("/docs").status_code == 404
