"""Tables and pictures that were made to stop, fill or fool whoever reads them."""

import csv
import io
import json
import os
import random
import struct
import time
import zipfile
import zlib
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import WORDS, draw, write_rows
from helpers.made_predictor import make_predictor
from jointune import read_posts
from jointune.data.image_file import ImageError
from jointune.data.problems import Problem
from jointune.data.read import Columns, PostsFile
from jointune.data.split import split_posts
from jointune.errors import JointuneError, PostsError
from jointune.modalities.image.open import open_image
from jointune.ui.many_posts import score_table
from jointune.ui.uploads import Archive

pytestmark = pytest.mark.attack

ALONE = ("--image-column", "", "--label-column", "")
ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
MILLION = [f"c{number}" for number in range(10**6)]
MANY = dict.fromkeys(MILLION[:150_000], 1)


def seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def test_forty_thousand_columns_take_a_moment(jointune, tmp_path):
    names = ["text", *MILLION[:40_000]]
    path = tmp_path / "wide.csv"
    path.write_text(f"{','.join(names)}\n{','.join(names)}x\n")

    def check():
        code, said = jointune("check", path, *ALONE)
        assert code == 0, said
        assert "and 39,980 more" in said
        assert len(said) < 2000

    assert seconds(check) < 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wide.csv", ",".join(MILLION) + "\n"),
        ("wide.tsv", "\t".join(MILLION) + "\n"),
        ("wide.jsonl", json.dumps(MANY) + "\n"),
        ("wide.json", json.dumps([MANY])),
        ("commas.csv", "," * 20_000_000),
        ("twice.csv", "a," * 50_000),
        ("long.csv", "text\n" + "x" * 20_000_000),
        ("open.csv", 'text,label\n"' + f"{'x' * 100},y,z\n" * 170_000),
        ("long.jsonl", '{"text": "' + "x" * 20_000_000 + '"}\n'),
        ("long.json", '[{"text": "' + "x" * 40_000_000 + '"}]'),
        ("blank.json", "[" + " " * 20_000_000 + "]"),
        ("deep.jsonl", '{"text": ' + "[" * 10**5 + "]" * 10**5 + "}\n"),
        ("deep.json", "[" * 10**5 + "]" * 10**5),
        ("nearly.json", '[{"text": "a", "o": ' + "[" * 900 + "]" * 900 + "}]"),
        ("digits.json", '[{"text": ' + "9" * 5000 + "}]"),
        ("bytes.csv", random.Random(0).randbytes(10**7)),
        ("bytes.jsonl", b"\xe9" * 10**7),
    ],
)
def test_tables_beyond_all_measure_are_refused_at_once(refused, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def check():
        said = refused("check", path, *ALONE, code=1, says=[name])
        assert len(said) < 3000

    assert seconds(check) < 10


@pytest.mark.slow
def test_many_labels_take_no_longer_a_post(tmp_path):
    def posts(count):
        path = write_rows(tmp_path / "p.csv", [{"text": n, "image": "", "label": f"l{n // 2}"} for n in range(count)])
        return read_posts(path)

    few, many = posts(4_000), posts(32_000)
    assert seconds(lambda: split_posts(many, 0.1)) < 30 * max(seconds(lambda: split_posts(few, 0.1)), 0.05)


def test_a_text_is_no_label(refused, tmp_path):
    path = write_rows(tmp_path / "p.csv", [{"text": "a", "label": "x" * 5000}])
    refused("check", path, "--image-column", "", code=1, says=["a text of 5,000 characters where a label is needed"])


@pytest.fixture(params=["folder", "link", "loop", "pipe", "zeros", "kernel", "long", "empty"])
def no_table(request, tmp_path):
    path = tmp_path / "posts.csv"
    match request.param:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "nowhere.csv")
        case "loop":
            path.symlink_to(path)
        case "pipe":
            os.mkfifo(path)
        case "zeros":
            path.symlink_to("/dev/zero")
        case "kernel":  # a file of 0 bytes, as the system says, whose reading waits for a message
            path.symlink_to("/proc/kmsg")
        case "long":
            path = tmp_path / ("x" * 5000 + ".csv")
        case "empty":
            path.touch()
    return path


def test_what_is_no_table_is_refused_by_every_command(jointune, tiny_bundle, tmp_path, no_table):
    out = tmp_path / "out"
    for command in (
        ["check", no_table],
        ["train", no_table, "--out", out],
        ["evaluate", tiny_bundle, no_table],
        ["predict", tiny_bundle, no_table, "--out", tmp_path / "out.csv"],
        ["compare", no_table, "--out", out],
        ["tune", no_table, "--out", out, "--trials", 1],
        ["import", "mvsa-single", no_table, "--out", tmp_path / "out.csv"],
        ["check", tmp_path, "--validation", no_table],
    ):
        code, said = jointune(*command)
        assert code in (1, 2), (command, said)
        assert said.startswith("error: "), (command, said)
        assert not out.exists()


def test_a_folder_of_tables_holds_files_only(tmp_path):
    write_rows(tmp_path / "a.csv", [{"text": "a"}])
    (tmp_path / "again.csv").symlink_to(tmp_path)
    with pytest.raises(PostsError, match="a folder within a folder"):
        PostsFile(tmp_path)
    (tmp_path / "again.csv").unlink()
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(PostsError, match="a link that leads to no file"):
        PostsFile(tmp_path)


@pytest.mark.parametrize("path", ["a\0b.csv", "\udcff.csv", "x/" * 3000 + "y.csv", "/proc/self/mem"])
def test_paths_that_are_none(path):
    with pytest.raises(PostsError):
        read_posts(path)


CODECS = ("idna", "punycode", "base64", "rot13", "zlib", "bz2", "hex", "quopri", "uu", "undefined", "unicode_escape")
CODECS += ("raw-unicode-escape", "mbcs", "x" * 5000, "\0", "\udcff", "../utf_8", "aliases")


@pytest.mark.parametrize("encoding", CODECS)
def test_codecs_that_are_of_no_text_file_are_refused(refused, tmp_path, encoding):
    for ending in ENDINGS:
        (tmp_path / f"p{ending}").write_text("text\na\n")
        refused("check", tmp_path / f"p{ending}", "--encoding", encoding, *ALONE, code=1, says=["give --encoding"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7", "hz", "iso2022_jp", "cp037", "gb18030", "utf-8"])
@pytest.mark.parametrize("content", [b"text\n\xff\xfe~{+A-\x1b$B\xd8\n", b'[{"text": "\xff"}]', b'{"text": "\x00"}\n'])
def test_other_encodings_read_the_table_or_say_why_not(tmp_path, encoding, content):
    for ending in ENDINGS:
        (tmp_path / f"p{ending}").write_bytes(content)
        read(tmp_path / f"p{ending}", encoding)


def read(path, encoding=None):
    """Read a table as ``check`` and ``predict`` do; nothing but an error of ours may come out."""
    with suppress(JointuneError):
        file = PostsFile(path, Columns(None, None, None, None), encoding)
        file.count()
        posts = list(file)
        assert all(post.problem is None or str(post.problem) for post in posts)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300) | st.text(alphabet='",;\t|\n\r a[]{}:\\\ud800é', max_size=200))
@example(content=b"\xff\xfe\x00\xd8")
@example(content='"\r')
@example(content='[{"\\ud800": 1}]')
@example(content="sep=,\n")
def test_any_bytes_are_a_table_or_an_error_of_ours(tmp_path, content):
    content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    for ending in ENDINGS:
        path = tmp_path / f"p{ending}"
        path.write_bytes(content)
        for encoding in (None, "utf-16", "cp1252"):
            read(path, encoding)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["text", "image", "label", "split", "\ud800"]), VALUES), max_size=4)
)
@example(rows=[{"text": "a", "image": {"bytes": None, "path": "\ud800"}, "\ud800": "\ud800"}])
@example(rows=[{"text": "a", "image": "\\" * 5000, "label": "\ud800"}])
def test_any_cells_are_posts_or_an_error_of_ours_and_are_written_again(tmp_path, rows):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = [name for name in ("text", "image", "label", "split") if any(name in row for row in rows)]
    use = Columns(*(name if name in columns else None for name in ("text", "image", "label", "split")))
    with suppress(JointuneError):
        for post in PostsFile(path, use):
            assert post.problem is None or str(post.problem)
    for ending in (".csv", ".jsonl", ".parquet"):
        with suppress(JointuneError):
            score_rows(path, use, tmp_path / f"out{ending}")


def score_rows(path, use, out):
    from jointune.output.writers import check_output, open_writer

    file = PostsFile(path, use)
    check_output(out, file.columns, ["prediction"])
    with open_writer(out, file.table, ["prediction"]) as writer:
        for post in file:
            writer.write({**post.fields, "prediction": "a"})


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2000), value=st.integers(0, 255), ending=st.sampled_from([".parquet", ".zip"]))
def test_a_flipped_byte_is_an_error_of_ours(tmp_path, place, value, ending):
    path = tmp_path / f"p{ending}"
    if ending == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"text": ["a", "b"] * 20, "label": ["x", None] * 20}), path)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.png", b"a" * 1000)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    if ending == ".parquet":
        read(path)
        return
    with suppress(JointuneError), Archive(path) as pictures:
        assert isinstance(pictures.read("a.png", "row 1"), bytes | Problem)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".json"])
@pytest.mark.parametrize("change", ["gone", "longer"])
def test_a_table_that_changes_while_it_is_read(tmp_path, ending, change):
    path = tmp_path / f"p{ending}"
    rows = [{"text": "a"}] * 3
    lines = ["text", *("a" for _ in rows)] if ending == ".csv" else map(json.dumps, rows)
    path.write_text(json.dumps(rows) if ending == ".json" else "\n".join(lines) + "\n")
    posts = iter(PostsFile(path, Columns(image=None, label=None)))
    next(posts)
    if change == "gone":
        path.unlink()
    else:
        with open(path, "a") as file:
            file.write("\n")
    with pytest.raises(PostsError, match=r"p\.\w+: (not readable: No such file|changed while it was read)"):
        list(posts)


def test_a_class_beyond_the_names_of_classes(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    about = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}}}
    table = pa.table({"text": ["x"], "label": [7]}).replace_schema_metadata({"huggingface": json.dumps(about)})
    parquet.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(PostsError, match="the class 7 where there are 2"):
        read_posts(tmp_path / "p.parquet", image_column=None)


def bomb(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(bytes(1000))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def icon(png):
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(png), 22) + png


def test_pictures_that_are_none_are_named_with_their_row(refused, tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(100_000, 100_000))
    (tmp_path / "icon.ico").write_bytes(icon(bomb(20_000, 20_000)))
    os.mkfifo(tmp_path / "pipe.png")
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(2**40)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    names = ["bomb.png", "icon.ico", "pipe.png", "sparse.png", "loop.png", "/dev/zero", "/proc/kmsg", ".", "\\" * 5000]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"text": "a", "image": name}) + "\n" for name in names))
    said = refused("check", path, "--label-column", "", "--all", code=1, says=["9 problems in 9 posts"])
    for row, reason in enumerate(
        ["178,956,970 pixels", "178,956,970 pixels", "a pipe", "larger than 256 MiB", "symbolic links", "a device"], 1
    ):
        (line,) = [line for line in said.splitlines() if line.startswith(f"p.jsonl row {row} ")]
        assert reason in line


def test_an_icon_takes_the_room_of_the_largest_picture(tmp_path):
    claimed = []
    with pytest.raises(ImageError):
        open_image(icon(bomb(3000, 3000)), None, claimed.append)
    assert claimed == [178_956_970]


def test_no_picture_outside_its_root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    draw(tmp_path / "secret.png", "red", 1)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    names = ["link.png", "../secret.png", "up/secret.png", str(tmp_path / "secret.png"), "..\\secret.png", "loop/a.png"]
    posts = read_posts(
        write_rows(root / "p.csv", [{"text": "a", "image": name, "label": 1} for name in names]), image_root=root
    )
    for post in posts:
        assert post.problem is not None or not post.image.exists(), post


def test_a_zip_whose_list_of_files_is_larger_than_memory(tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", b"a")
    content = path.read_bytes()
    place = content.index(b"PK\x05\x06")
    with open(path, "wb") as file:  # the list, of holes in the file, is said to have 200 MB
        file.truncate(2 * 10**8)
        file.seek(2 * 10**8)
        file.write(content[place : place + 12] + struct.pack("<II", 2 * 10**8, 0) + bytes(2))
    with pytest.raises(PostsError, match="its list of files is too long"):
        Archive(path)


FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "＝1"]
HARMLESS = ["-5", "+1.5e3", "a=b", "'quoted", "", "good day"]


def test_formulas_are_texts_in_safe_csv(jointune, refused, tiny_bundle, tmp_path):
    path = tmp_path / "p.jsonl"
    lines = [{"=id": number, "text": text or "x", "@n": text} for number, text in enumerate([*FORMULAS, *HARMLESS])]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"=id": -7, "image": "=lost.png"}\n')
    options = ("--on-bad-image", "skip", "--safe-csv")
    for name, delimiter in (("s.csv", ","), ("s.tsv", "\t")):
        code, said = jointune("predict", tiny_bundle, path, "--out", tmp_path / name, *options)
        assert code == 0, said
        with open(tmp_path / name, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, delimiter=delimiter)
        assert header[:3] == ["'=id", "text", "'@n"]
        assert [row[2] for row in rows] == [*(f"'{text}" for text in FORMULAS), *HARMLESS]
    with open(tmp_path / "s.csv.skipped.csv", newline="", encoding="utf-8") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith("=")]
    refused("predict", tiny_bundle, path, "--out", tmp_path / "s.parquet", *options, says=["--safe-csv"])


def test_the_page_scores_a_scored_table_again_and_makes_formulas_texts(tmp_path):
    table = write_rows(tmp_path / "p.csv", [{"text": word, "id": "=1+1"} for word in WORDS[:3]])
    first = score_table(make_predictor(), table, None, tmp_path / "first.csv")
    again = score_table(make_predictor(), first.path, None, tmp_path / "again.csv")
    assert again.path.read_text().replace("''", "'") == first.path.read_text()
    assert "'=1+1" in first.path.read_text()
    assert (
        io.StringIO(first.path.read_text()).readline()
        == "text,id,prediction,confidence,p_negative,p_neutral,p_positive\n"
    )
