"""The page: what is where, and which function answers what. Needs gradio; see ``offline``."""

import tempfile
from pathlib import Path

import gradio as gr

from jointune.errors import JointuneError
from jointune.scorer import Scorer
from jointune.ui.examples import examples
from jointune.ui.html import card_body, listed, said
from jointune.ui.judge import Verdict, judge, one_at_a_time
from jointune.ui.table import score_table

_KEPT = 24 * 60 * 60
"""Seconds that uploads and scored tables stay: a page that is up for weeks must not fill the disk."""

_INTERNAL = {"api_visibility": "private", "show_progress": "minimal"}
"""Of every event: it is the page's own, not an API."""


def make_page(scorer: Scorer, folder: Path) -> gr.Blocks:
    """The page for one model.

    Args:
        scorer: the model.
        folder: takes the scored tables.
    """
    scorer = one_at_a_time(scorer)
    with gr.Blocks(title="jointune", analytics_enabled=False, delete_cache=(_KEPT // 24, _KEPT)) as page:
        gr.Markdown(f"# Try the model\n\nIt tells apart: {', '.join(scorer.labels)}. Nothing you enter is passed on.")
        with gr.Tab("One post"):
            _one_post(scorer)
        with gr.Tab("Many posts"):
            _table(scorer, folder)
        with gr.Tab("Model"):
            gr.Markdown(card_body(scorer.card), elem_classes="card")
    return page


def _one_post(scorer: Scorer) -> None:
    def answer(text: str, picture: str | None) -> tuple[str, gr.Label]:
        try:
            verdict = judge(scorer, text, picture)
        except JointuneError as error:
            verdict = Verdict([str(error)])
        return said(verdict.sentences), gr.Label(verdict.shares, visible=bool(verdict.shares))

    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="Text", lines=3, placeholder="What the post says; may stay empty")
            picture = gr.Image(label="Picture", sources=["upload"], height=240)
            # The file as it is: what opens pictures everywhere else opens it here, and says what is wrong with it.
            # Not by a subclass, for which gradio would write a file beside this one.
            picture.preprocess = lambda payload: payload.path if payload else None
            go = gr.Button("Judge this post", variant="primary")
        with gr.Column():
            words = gr.HTML(elem_classes="said")
            bars = gr.Label(label="Confidence in each label", show_heading=False, visible=False, elem_classes="bars")
            gr.Markdown("Or try one of these:")
            for example in examples():
                button = gr.Button(example.text, icon=example.picture, size="md", elem_classes="example")
                button.keep_in_cache.update(button.temp_files)  # its picture is no upload
                button.click(
                    lambda chosen=example: (chosen.text, str(chosen.picture)), None, [text, picture], **_INTERNAL
                ).then(answer, [text, picture], [words, bars], **_INTERNAL)
    gr.on([go.click, text.submit], answer, [text, picture], [words, bars], **_INTERNAL)


def _table(scorer: Scorer, folder: Path) -> None:
    def refused(why: str) -> tuple[str, str, gr.File]:
        return said([why]), "", gr.File(None, visible=False)

    def score(
        table: str | None,
        pictures: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio wants it
    ) -> tuple[str, str, gr.File]:
        if table is None:
            return refused("Choose a CSV file first.")
        out = Path(tempfile.mkdtemp(dir=folder)) / f"{Path(table).stem}.scored.csv"
        try:
            done = score_table(
                scorer,
                Path(table),
                Path(pictures) if pictures else None,
                out,
                lambda read: progress((read, None), desc="Scoring", unit="rows"),
            )
        except JointuneError as error:
            return refused(str(error))
        scored.temp_files.add(str(out))  # gradio shows a copy, and deletes what it knows of
        return said(done.sentences), listed(done.problems), gr.File(str(out), visible=True)

    gr.Markdown(
        "A CSV file with a column `text`, a column `image`, or both, as for `jointune predict`; and a zip file with "
        "the pictures, under the paths in the column `image`. Rows that cannot be used are left out and listed."
    )
    with gr.Row():
        table = gr.File(label="Table (CSV)", file_types=[".csv"], height=140)
        pictures = gr.File(label="Pictures (zip), if there are any", file_types=[".zip"], height=140)
    go = gr.Button("Score the table", variant="primary")
    words = gr.HTML(elem_classes="said")
    scored = gr.File(label="Scored table", interactive=False, visible=False)
    problems = gr.HTML(elem_classes="listed")
    go.click(score, [table, pictures], [words, problems, scored], **_INTERNAL)
