"""Attacks on the page of `jointune ui`: other names, other sites' pages, files and addresses that nobody uploaded."""

import socket
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra ui is not installed")

from conftest import write_rows
from helpers.made_predictor import make_predictor
from helpers.shown_page import LEAVES_OPEN, shown_page

pytestmark = [pytest.mark.attack, *LEAVES_OPEN]


@pytest.fixture
def client(tmp_path):
    hosts = frozenset({"localhost", "models.example.org"})
    with shown_page(make_predictor(), tmp_path, hosts=hosts) as client:
        yield client


@pytest.fixture
def ask(client):
    """Ask an event of the page: ``ask("score", [file, None])``; gives the last line that it answers."""

    def ask(name: str, data: list) -> str:
        events = client.app.routes[-1].app.get_blocks().fns
        number = next(number for number, event in events.items() if event.fn.__name__ == name)
        body = {"data": data, "fn_index": number, "session_hash": "me"}
        client.post("/gradio_api/queue/join", json=body).raise_for_status()
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "me"}) as stream:
            return next(line for line in stream.iter_lines() if "process_completed" in line)

    return ask


@pytest.fixture
def no_network(monkeypatch):
    """Notes what is looked up or connected to."""
    sought = []
    # Whatever gradio would connect to, by whichever library, is looked up by this.
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: sought.append(host) or [])
    return sought


def given(path: str | Path, **more: object) -> dict:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}, **more}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@evil", ""])
def test_another_name_is_refused(client, host):
    for path in ("/", "/config", "/gradio_api/queue/data?session_hash=x", "/theme.css"):
        assert client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "https://localhost.evil.example", "file://"]
)
def test_the_page_of_another_site_is_refused(client, origin):
    for path in ("/gradio_api/queue/join", "/gradio_api/upload"):
        assert client.post(path, json={}, headers={"Origin": origin}).status_code == 403


def test_its_own_page_and_names_are_answered(client):
    assert client.get("/config", headers={"Origin": "http://localhost:7860"}).status_code == 200
    own = {"Host": "models.example.org", "Origin": "https://models.example.org"}
    assert client.get("/config", headers=own).status_code == 200
    assert client.get("/config", headers={"Origin": "https://models.example.org"}).status_code == 200


@pytest.mark.parametrize("form", ["http://pictures.example/a.png", "https://huggingface.co/a.png", "HTTP://x.example/"])
def test_an_address_in_place_of_a_file_is_not_fetched(ask, form, no_network):
    for data in (given(form), given(form, is_stream=True), given("a.png", url=form)):
        assert '"success":false' in ask("answer", ["", data]) or "was not uploaded" in ask("answer", ["", data])
        ask("answer", [data, None])  # in place of the text, where it is one
    assert no_network == []


def test_a_file_of_the_machine_is_not_read(ask, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    secret = write_rows(elsewhere / "secret.csv", [{"text": "the secret"}])
    (tmp_path / "link.csv").symlink_to(secret)
    (tmp_path / "up").symlink_to(elsewhere)
    table = write_rows(tmp_path / "own.csv", [{"text": "good"}])
    for data in (
        given(secret),
        given(secret, is_stream=True),
        given(secret, url="http://localhost:7860/x"),
        given(tmp_path / "link.csv"),
        given(tmp_path / "up" / "secret.csv"),
        given(tmp_path / ".." / elsewhere.name / "secret.csv"),
        str(secret),
        [given(secret)],
    ):
        said = ask("score", [data, None])
        assert "the secret" not in said
        assert "secret.scored" not in said
        assert "of 1 row scored" not in said
    said = ask("score", [given(table, orig_name="../../evil.csv"), None])
    assert "1 of 1 row scored." in said
    assert not list(tmp_path.parent.glob("evil*"))


def test_files_are_given_out_of_the_folder_alone(client, tmp_path, tmp_path_factory, no_network):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    secret.write_text("the secret")
    (tmp_path / "link.csv").symlink_to(secret)
    (tmp_path / "own.csv").write_text("own")
    assert client.get(f"/gradio_api/file={tmp_path / 'own.csv'}").text == "own"
    for path in (
        secret,
        tmp_path / "link.csv",
        f"{tmp_path}/../{secret.parent.name}/secret.csv",
        f"{tmp_path}/%2e%2e/{secret.parent.name}/secret.csv",
        "http://pictures.example/a.png",
        "https://huggingface.co/a.png",
        "pyproject.toml",
    ):
        assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)
    assert no_network == []


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://localhost/",
        "/gradio_api/startup-events",
        "/gradio_api/deep_link?session_hash=me",
        "/gradio_api/info",
        "/gradio_api/runs",
        "/monitoring",
        "/gradio_api/vibe-code",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/openapi.json",
    ],
)
def test_what_the_page_does_not_use_is_not_answered(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["run/score", "call/score", "api/score", "component_server", "process_recording"])
def test_it_is_no_api(client, path):
    assert client.post(f"/gradio_api/{path}", json={"data": [None, None]}).status_code == 404


def test_large_requests_are_refused_unread(client):
    body = b'{"data":[' + b"1," * 1_000_000 + b"1]}"
    assert client.post("/gradio_api/queue/join", content=body).status_code == 413
    pieces = (body[start : start + 1000] for start in range(0, 10_000, 1000))
    assert client.post("/gradio_api/queue/join", content=pieces).status_code == 413
