"""Tables and pictures behind addresses: fetched where that was asked for, and a failure is said as any other."""

import json
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers.web import serve
from jointune import MissingExtraError, PostsError, read_posts
from jointune.data.post import RemoteImage
from jointune.data.read import Columns, PostsFile
from jointune.data.remote import FetchError, beside, fetch
from jointune.modalities.image.decode import decode_posts

USE = Columns(label=None)
FETCH = Columns(label=None, remote_images=True)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b c#1.png"):
        Image.new("RGB", (8, 8), "red").save(folder / name)
    with serve(folder) as running:
        yield running


def write(path: Path, *images: object) -> Path:
    path.write_text("".join(json.dumps({"text": "a", "image": image}) + "\n" for image in images))
    return path


def problems(file: PostsFile) -> list[str | None]:
    return [problem and f"{problem.what}: {problem.reason}" for _, _, problem in decode_posts(file, lambda picture: 0)]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_table_behind_an_address_is_read_as_any_other(server, tmp_path, ending):
    import pandas as pd

    frame = pd.DataFrame({"text": ["x", "y"], "image": ["a.png", "sub/b c#1.png"], "label": ["p", "n"]})
    path = tmp_path / "site" / f"posts{ending}"
    if ending == ".csv":
        frame.to_csv(path, index=False)
    elif ending == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    posts = read_posts(f"{server.address}/posts{ending}?signature=secret")
    assert [post.text for post in posts] == ["x", "y"]
    assert posts[0].where.startswith(f"posts{ending} row 1")
    # Its pictures lie beside it and are fetched when they are opened.
    assert posts[0].image == RemoteImage(f"{server.address}/a.png")
    assert server.asked["/a.png"] == 0
    assert [problem for _, _, problem in decode_posts(posts, lambda picture: 0)] == [None, None]
    assert server.asked["/a.png"] == 1


def test_the_stamp_of_a_table_is_its_content(server, tmp_path):
    path = write(tmp_path / "site" / "p.jsonl", "a.png")
    first = PostsFile(f"{server.address}/p.jsonl", USE)
    copy = first.path
    assert copy.exists()
    assert first.stamp() == PostsFile(f"{server.address}/p.jsonl", USE).stamp()
    write(path, "sub/b c#1.png")
    assert first.stamp() != PostsFile(f"{server.address}/p.jsonl", USE).stamp()
    del first
    assert not copy.exists()


def test_addresses_in_a_table_are_fetched_only_where_that_is_asked_for(server, tmp_path):
    for table in (tmp_path / "p.jsonl", f"{server.address}/p.jsonl"):
        for folder in (tmp_path, tmp_path / "site"):
            write(folder / "p.jsonl", f"{server.address}/a.png", f"  HTTP{server.address[4:]}/a.png ")
        assert all("an address, not a path, and nothing is fetched" in said for said in problems(PostsFile(table, USE)))
        assert server.asked["/a.png"] == 0
        assert problems(PostsFile(table, FETCH)) == [None, None]
        assert server.asked.pop("/a.png") == 2


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://example.org/a.png", "data:image/png;base64,AA"])
def test_other_kinds_of_addresses_are_never_fetched(tmp_path, address):
    (said,) = problems(PostsFile(write(tmp_path / "p.jsonl", address), FETCH))
    assert "an address of a kind that is not fetched; http, https, s3, gs are" in said
    with pytest.raises(PostsError, match="not an address to read posts from; use one of http, https, s3, gs"):
        PostsFile(address)


def test_pictures_of_a_remote_table_stay_below_its_folder(server, tmp_path):
    outside = ["../a.png", "/a.png", "sub/../../a.png", "/etc/hostname"]
    write(tmp_path / "site" / "sub" / "p.jsonl", "b c#1.png", "./x/../b c#1.png", *outside)
    said = problems(PostsFile(f"{server.address}/sub/p.jsonl", USE))
    assert said[:2] == [None, None]
    assert all(f"leads out of the folder of {server.address}/sub/p.jsonl" in one for one in said[2:])


def test_redirects_are_followed_only_where_addresses_are(server, tmp_path):
    write(tmp_path / "site" / "p.jsonl", "moved/a.png")
    assert problems(PostsFile(f"{server.address}/p.jsonl", USE)) == [
        f"{server.address}/moved/a.png: leads to another address"
    ]
    assert server.asked["/a.png"] == 0
    assert problems(PostsFile(f"{server.address}/p.jsonl", FETCH)) == [None]
    assert len(read_posts(f"{server.address}/moved/p.jsonl", label_column=None)) == 1


def test_a_passing_failure_is_tried_again(server):
    content = fetch(f"{server.address}/a.png", redirects=True)
    assert fetch(f"{server.address}/flaky/a.png", redirects=True, pause=0.01) == content
    assert server.asked["/flaky/a.png"] == 3


@pytest.mark.parametrize(
    ("name", "reason", "attempts"),
    [
        ("lost.png", "there is nothing at this address", 1),
        ("refused/a.png", "could not be fetched: the answer was 403", 1),
        ("slow/a.png", "no answer in time", 3),
        ("cut/a.png", "could not be fetched: ", 3),
        ("large.png", "larger than 4,000 bytes", 1),
    ],
)
def test_failures_have_a_reason_and_a_remedy(server, tmp_path, name, reason, attempts):
    (tmp_path / "site" / "large.png").write_bytes(bytes(5000))
    with pytest.raises(FetchError) as raised:
        fetch(f"{server.address}/{name}", redirects=True, most_bytes=4000, seconds=0.5, pause=0.01)
    assert raised.value.reason.startswith(reason)
    assert raised.value.remedy
    # On a busy machine the server may come to see a request only after its time was over.
    waited = time.monotonic() + 10
    while server.asked[f"/{name}"] < attempts and time.monotonic() < waited:
        time.sleep(0.05)
    assert server.asked[f"/{name}"] == attempts


def test_failures_are_bad_images_with_their_reasons(server, tmp_path):
    (tmp_path / "site" / "no.png").write_text("no picture")
    expected = {
        f"{server.address}/lost.png": "there is nothing at this address",
        f"{server.address}/no.png": "not a picture in a known format",
        "http://127.0.0.1:9/a.png": "could not be fetched: Cannot connect",
        "http://[::1": "could not be fetched",
    }
    messages = problems(PostsFile(write(tmp_path / "p.jsonl", *expected), FETCH))
    for (address, reason), message in zip(expected.items(), messages, strict=True):
        assert message.startswith(f"{address}: {reason}")


def test_a_table_that_cannot_be_had(server):
    for name, reason in (("lost.csv", "there is nothing at this address"), ("refused/p.csv", "the answer was 403")):
        with pytest.raises(PostsError, match=f"{server.address}/{name}: .*{reason}.*; correct the address"):
            PostsFile(f"{server.address}/{name}")


def test_what_is_not_installed_is_named_and_never_a_bad_picture(tmp_path, monkeypatch):
    posts = PostsFile(write(tmp_path / "p.jsonl", "s3://bucket/a.png"), FETCH)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"reading from s3:// needs the package s3fs: pip install s3fs"):
        problems(posts)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match="needs the package gcsfs: pip install gcsfs"):
        PostsFile("gs://bucket/posts.csv")
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(
        MissingExtraError, match=r"reading from https:// needs .*pip install -c constraints\.txt '\.\[remote\]'"
    ):
        PostsFile("https://example.org/posts.csv")


def test_addresses_beside_a_table():
    assert beside("https://h/x/p.csv?key=1", "a/ü.png") == "https://h/x/a/%C3%BC.png"
    assert beside("https://h/p.csv", "a.png") == "https://h/a.png"
    assert beside("s3://bucket/p.csv", "a b.png") == "s3://bucket/a b.png"
    assert beside("s3://bucket/x/y/p.csv", "a\\b.png") == "s3://bucket/x/y/a/b.png"
    with pytest.raises(ValueError, match="leads out"):
        beside("s3://bucket/p.csv", "../other/a.png")
