"""The page: what is where, and which function answers what. Needs gradio; see ``offline``."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component
from gradio.events import Dependency

from jointune.errors import JointuneError, PostsError
from jointune.inference.predictor import Predictor
from jointune.ui.batch_scoring import score_table
from jointune.ui.examples import Example
from jointune.ui.html import card_body, chart, heading, listed, preview, said
from jointune.ui.judge import Verdict, judge, one_at_a_time

_KEPT = 24 * 60 * 60
"""Seconds that uploads and scored tables stay: a page that is up for weeks must not fill the disk."""

_INTERNAL = {"api_visibility": "private", "show_progress": "minimal"}
"""Of every event: it is the page's own, not an API."""


def make_page(predictor: Predictor, folder: Path, name: str, examples: Sequence[Example]) -> gr.Blocks:
    """The page for one model.

    Args:
        predictor: the model.
        folder: takes uploads and scored tables: no file elsewhere is read or given out.
        name: of the model.
        examples: to try it on.
    """
    predictor = one_at_a_time(predictor)
    with gr.Blocks(title=f"{name} - jointune", analytics_enabled=False, delete_cache=(_KEPT // 24, _KEPT)) as page:
        gr.HTML(heading(name, predictor.about, predictor.labels), elem_classes="model")
        with gr.Tab("One post"):
            _one_post(predictor, folder, examples)
        with gr.Tab("Many posts"):
            _table(predictor, folder)
        with gr.Tab("Model"):
            gr.Markdown(card_body(predictor.card), elem_classes="card")
    # Gradio checks that a file was uploaded only once a page was launched, which one that is mounted never is: whoever
    # reaches the port could name any file of the machine.
    page.has_launched = True
    for block in page.blocks.values():
        _keep_to_uploads(block, folder)
    return page


def _keep_to_uploads(block: Block, folder: Path) -> None:
    """Have a component take files of the folder alone, where gradio also fetches what an address leads to."""
    take = block.async_move_resource_to_block_cache

    async def take_uploaded(path: str | Path | None) -> str | None:
        return await take(path and str(uploaded(path, folder)))

    block.async_move_resource_to_block_cache = take_uploaded


def _while_working(
    when: Callable[..., Dependency],
    button: gr.Button,
    answer: Callable[..., Any],
    inputs: list[Component],
    outputs: list[Component],
) -> None:
    """Answer an event; its button says that work is under way, and takes no second press, until the answer is there."""
    name = button.value
    started = when(lambda: gr.Button("Working …", interactive=False), None, button, **_INTERNAL)
    done = started.then(answer, inputs, outputs, **_INTERNAL)
    done.then(lambda: gr.Button(name, interactive=True), None, button, **_INTERNAL)


def uploaded(path: str | Path, folder: Path) -> Path:
    """The path of a file that was uploaded, or is an example.

    Raises:
        PostsError: it lies elsewhere, which only a request that no page makes can bring about.
    """
    file = Path(path).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise PostsError("this file was not uploaded", "choose it once more")
    return file


def _one_post(predictor: Predictor, folder: Path, examples: Sequence[Example]) -> None:
    def answer(text: str, picture: str | None) -> tuple[str, gr.Label]:
        try:
            verdict = judge(predictor, text, uploaded(picture, folder) if picture else None)
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
            if examples:
                gr.Markdown("Or try one of these:")
            for example in examples:
                button = gr.Button(
                    example.text or "A picture alone", icon=example.picture, size="md", elem_classes="example"
                )
                button.keep_in_cache.update(button.temp_files)  # its picture is no upload
                filled = button.click(
                    lambda chosen=example: (chosen.text, chosen.picture and str(chosen.picture)),
                    None,
                    [text, picture],
                    **_INTERNAL,
                )
                _while_working(filled.then, go, answer, [text, picture], [words, bars])
    _while_working(partial(gr.on, [go.click, text.submit]), go, answer, [text, picture], [words, bars])


def _table(predictor: Predictor, folder: Path) -> None:
    def refused(why: str) -> tuple[str, str, str, gr.File]:
        return said([why]), "", "", gr.File(None, visible=False)

    def score(
        table: str | None,
        pictures: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio wants it
    ) -> tuple[str, str, str, gr.File]:
        if table is None:
            return refused("Choose a CSV file first.")
        out = Path(tempfile.mkdtemp(dir=folder)) / f"{Path(table).stem}.scored.csv"
        try:
            done = score_table(
                predictor,
                uploaded(table, folder),
                uploaded(pictures, folder) if pictures else None,
                out,
                lambda read: progress((read, None), desc="Scoring", unit="rows"),
            )
        except JointuneError as error:
            return refused(str(error))
        scored.temp_files.add(str(out))  # gradio shows a copy, and deletes what it knows of
        shown = chart(done.answers) + preview(done.first)
        return said(done.sentences), shown, listed(done.problems), gr.File(str(out), visible=True)

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
    shown = gr.HTML(elem_classes="scored")
    problems = gr.HTML(elem_classes="listed")
    _while_working(go.click, go, score, [table, pictures], [words, shown, problems, scored])
