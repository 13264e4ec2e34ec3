"""Posts as a console and a notebook show them."""

from pathlib import Path

from PIL import Image

from jointune import Post, Posts


def test_a_post_is_short_in_a_console():
    post = Post(text="a" * 5000, image=b"0" * 30_000, label="x", fields={"note": "b" * 5000})
    assert repr(post) == f"Post(text='{'a' * 79}…', image=<30,000 bytes>, label='x')"
    assert repr(Post()) == "Post()"
    assert repr(Post(text="", image=Path("a.png"), split="test")) == "Post(text='', image='a.png', split='test')"
    assert "picture of 3 x 2" in repr(Post(image=Image.new("RGB", (3, 2))))


def test_what_people_wrote_is_text_in_a_notebook():
    posts = Posts((Post(text="<script>alert(1)</script>", label="<b>") for _ in range(1234)), name="<i>")
    for page in (posts._repr_html_(), posts[0]._repr_html_()):
        assert "<script>" not in page
        assert "<b>" not in page
        assert "<i>" not in page
        assert "&lt;script&gt;" in page
    assert "1,234 posts" in posts._repr_html_()
    assert "1,229 more" in posts._repr_html_()
    assert posts._repr_html_().count("<tr>") == 1 + 5
    assert repr(posts) == "Posts('<i>', 1,234 posts)"
    assert repr(posts[:1]) == "Posts('<i>', 1 post)"
    assert Posts(())._repr_html_().startswith("<p>")
