"""jointune explain."""

import subprocess
import sys

import pytest


def read(path):
    return path.read_text(encoding="utf-8")


def test_a_page_of_a_table(jointune, tiny_bundle, posts_csv, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("\n".join(read(posts_csv).splitlines()[:3]) + "\n", encoding="utf-8")
    out = tmp_path / "why.html"
    code, said = jointune(
        "explain", tiny_bundle, few, "--image-root", posts_csv.parent, "--label", "negative", "--out", out, "--quiet"
    )
    assert code == 0, said
    page = read(out)
    assert page.count("<article") == 2
    assert page.count("<h3>Why negative") == 2
    assert "http://" not in page


def test_one_post(jointune, tiny_bundle, posts_csv, tmp_path):
    out = tmp_path / "why.html"
    image = posts_csv.parent / "0.png"
    code, said = jointune("explain", tiny_bundle, "--text", "good lunch", "--image", image, "--out", out, "--quiet")
    assert code == 0, said
    assert "text alone says" in said
    assert jointune("explain", tiny_bundle, "--text", "good lunch", "--out", out, "--quiet", "--force")[0] == 0


def test_an_exported_model_needs_no_torch(exported_model, posts_csv, tmp_path):
    out = tmp_path / "why.html"
    blocked = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'scipy', 'sklearn', 'pandas'): sys.modules[name] = None\n"
        "from jointune.cli.app import main\n"
        "main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", blocked, "explain", exported_model, "--text", "good lunch"]
    command += ["--image", posts_csv.parent / "0.png", "--out", out, "--quiet"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "data:image/" in read(out)


def test_the_nearest_training_posts(jointune, tiny_bundle, posts_csv, tmp_path):
    out = tmp_path / "why.html"
    image = posts_csv.parent / "0.png"
    text = read(posts_csv).splitlines()[1].split(",")[1]
    code, said = jointune(
        "explain", tiny_bundle, "--text", text, "--image", image, "--training", posts_csv, "--out", out, "--quiet"
    )
    assert code == 0, said
    near = read(out).split('<ol class="near">')[1]
    assert near.count("<li>") == 5
    assert "posts.csv row 1 (line 2), 1.00" in near
    assert "<b>positive</b>" in near


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), ["a table of posts, or one post"]),
        (("POSTS", "--text", "good"), ["a table of posts, or one post"]),
        (("--text", " "), ["empty"]),
        (("--text", "good", "--label", "nice"), ["--label nice", "no such label", "negative, positive"]),
        (("--text", "good", "--method", "guess"), ["--method guess", "occlusion"]),
        (("--text", "good", "--out", "why.pdf"), [".html"]),
        (("--image", "nowhere.png"), ["nowhere.png"]),
        (("POSTS", "--text-column", "words"), ["no column 'words'"]),
    ],
)
def test_what_cannot_be_explained(refused, tiny_bundle, posts_csv, tmp_path, arguments, says):
    arguments = [str(posts_csv) if one == "POSTS" else one for one in arguments]
    if "--out" not in arguments:
        arguments += ["--out", tmp_path / "why.html"]
    refused("explain", tiny_bundle, *arguments, "--quiet", says=says)
    assert not list(tmp_path.glob("*.html"))


def test_an_existing_page_stays(refused, tiny_bundle, tmp_path):
    out = tmp_path / "why.html"
    out.write_text("mine")
    refused("explain", tiny_bundle, "--text", "good", "--out", out, says=["--force"])
    assert read(out) == "mine"
