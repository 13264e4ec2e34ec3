"""Tables behind s3 addresses, on a real server on this machine."""

import csv
import socket
from pathlib import Path

import pytest

moto = pytest.importorskip("moto.server", reason="moto is not installed")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")


@pytest.fixture(scope="module")
def store():
    """A store with the bucket ``posts``, found by the environment's variables as any other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer("127.0.0.1", port)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "made-up")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        system = s3fs.S3FileSystem()
        system.mkdir("posts")
        yield system
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def parts(store, posts_csv):
    """The posts in three tables with their pictures, at ``s3://posts/in``; and the rows of all."""
    header, *lines = posts_csv.read_text().splitlines(keepends=True)
    for number in range(3):
        store.pipe_file(f"posts/in/part{number}.csv", (header + "".join(lines[number::3])).encode())
    for file in posts_csv.parent.glob("*.png"):
        store.put_file(str(file), f"posts/in/{file.name}")
    store.pipe_file("posts/in/_SUCCESS", b"")
    return "s3://posts/in"


def rows_of(texts: list[str]) -> dict[str, dict[str, str]]:
    return {row["id"]: row for text in texts for row in csv.DictReader(text.splitlines())}


def test_parts_are_read_and_written_behind_addresses(jointune, store, parts, tiny_bundle, posts_csv, tmp_path):
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "here.csv")
    assert code == 0, said
    for share in ("0/2", "1/2", "1/2"):
        code, said = jointune("predict", tiny_bundle, parts, "--part", share, "--out", "s3://posts/out")
        assert code == 0, said
    assert "1 part of 3 with 16 posts" in said
    files = sorted(file.removeprefix("posts/out/") for file in store.find("posts/out"))
    tables = [f"part{number}.csv" for number in range(3)]
    assert files == [*(f"_manifest/{name}.json" for name in tables), "_run.json", *tables]
    expected = rows_of([(tmp_path / "here.csv").read_text()])
    found = rows_of([store.cat_file(f"posts/out/{name}").decode() for name in tables])
    assert found.keys() == expected.keys()
    for name, row in expected.items():
        assert found[name]["prediction"] == row["prediction"]
        assert float(found[name]["confidence"]) == pytest.approx(float(row["confidence"]), abs=1e-5)


def test_a_damaged_and_a_changed_table_are_scored_again(jointune, store, parts, tiny_bundle):
    run = ("predict", tiny_bundle, parts, "--part", "0/1", "--out", "s3://posts/again")
    assert jointune(*run)[0] == 0
    before = store.cat_file("posts/again/part0.csv")
    store.pipe_file("posts/again/part0.csv", b"damaged")
    store.pipe_file("posts/in/part1.csv", b"id,text,image,label,split\nnew,happy,,positive,train\n")
    code, said = jointune(*run)
    assert code == 0, said
    assert store.cat_file("posts/again/part0.csv") == before
    assert list(rows_of([store.cat_file("posts/again/part1.csv").decode()])) == ["new"]


def test_other_runs_and_what_is_not_there_are_refused(refused, jointune, store, parts, tiny_bundle, tmp_path):
    store.pipe_file("posts/taken/_run.json", b'{"bundle": "another"}')
    run = ("predict", tiny_bundle, parts, "--part", "0/1", "--out")
    refused(*run, "s3://posts/taken", says=["holds scored parts with other posts and bundle"])
    refused(*run, "http://127.0.0.1/out", says=["not an address to write to"])
    run = ("predict", tiny_bundle, "s3://posts/nowhere", "--part", "0/1", "--out", tmp_path / "s")
    refused(*run, says=["s3://posts/nowhere: there is nothing at this address"])
    assert not Path("s3:").exists()
