"""Finished parts in a folder beside the file that they become."""

import pytest

from jointune import OutputError
from jointune.data.read import Columns, PostsFile
from jointune.output.resumable import Parts
from jointune.output.writers import make_layout


def test_an_output_has_a_row_for_each_post_that_was_counted(tmp_path):
    source, out = tmp_path / "p.csv", tmp_path / "s.csv"
    source.write_text("text\ngood\nbad\n")
    table = PostsFile(source, Columns(image=None, label=None)).table
    parts = Parts(out, make_layout(out, table, ["prediction"]), {"posts": "two"}, resume=False)
    parts.add(2, [{"text": "good", "prediction": "positive"}, {"text": "bad", "prediction": "negative"}], [])
    with pytest.raises(OutputError, match="of 3 posts, 2 were read and 2 scored: they changed meanwhile"):
        parts.join(3, with_skipped=False)
    assert not out.exists()
    parts.join(2, with_skipped=False)
    assert out.read_text().splitlines() == ["text,prediction", "good,positive", "bad,negative"]
