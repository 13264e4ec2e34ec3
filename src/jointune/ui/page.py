"""The page: its inputs, and the function that answers each. Import it inside ``launch.gradio_folder``."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.blocks import Block
from gradio.components import Component
from gradio.events import Dependency

from jointune.errors import JointuneError
from jointune.inference.predictor import Predictor
from jointune.modalities.batch import Input
from jointune.ui.examples import Example
from jointune.ui.html import card_body, chart, heading, preview, problem_list, sentence_lines
from jointune.ui.many_posts import score_table
from jointune.ui.one_post import Verdict, entered_post, judge, why
from jointune.ui.uploads import uploaded

# White on the default orange is too faint to read; and no font is fetched.
_THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700")

_DAY = 24 * 60 * 60  # seconds that uploads and scored tables stay: a page that is up for weeks must not fill the disk

_INTERNAL = {"api_visibility": "private", "show_progress": "minimal"}
"""Options of every event: it is the page's own, not an API."""


def mount_page(
    app: FastAPI, predictor: Predictor, folder: Path, name: str, examples: Sequence[Example], max_file_size: int
) -> FastAPI:
    """Mount the page of a model at the root of an application; see ``jointune.ui.launch.make_app``."""
    with gr.Blocks(title=f"{name} - jointune", analytics_enabled=False, delete_cache=(_DAY // 24, _DAY)) as page:
        gr.HTML(heading(name, predictor.about, predictor.target), elem_classes="model")
        with gr.Tab("One post"):
            _one_post(predictor, folder, examples)
        with gr.Tab("Many posts"):
            _many_posts(predictor, folder)
        with gr.Tab("Model"):
            gr.Markdown(card_body(predictor.card), elem_classes="card")
    # Gradio checks that a file was uploaded only after a page was launched, which a mounted one never is: whoever
    # reaches the port could name any file of the machine.
    page.has_launched = True
    for block in page.blocks.values():
        _restrict_to_uploads(block, folder)
    css, js = (files("jointune.ui").joinpath(file).read_text(encoding="utf-8") for file in ("page.css", "page.js"))
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        app_kwargs={"openapi_url": None},  # its pages load scripts from elsewhere
        show_error=False,
        max_file_size=max_file_size,
        ssr_mode=False,
        theme=_THEME,
        css=css,
        js=js,
    )


def _restrict_to_uploads(block: Block, folder: Path) -> None:
    """Have a component take files of the folder alone; gradio would also fetch from addresses."""
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
    """Answer an event; until then its button says that work is under way, and takes no second press."""
    name = button.value
    started = when(lambda: gr.Button("Working …", interactive=False), None, button, **_INTERNAL)
    done = started.then(answer, inputs, outputs, **_INTERNAL)
    done.then(lambda: gr.Button(name, interactive=True), None, button, **_INTERNAL)


def _one_post(predictor: Predictor, folder: Path, examples: Sequence[Example]) -> None:
    def entered(text: str, image: str | None, further: list[str] | None, cells: Sequence[object]) -> tuple[Any, ...]:
        more = {
            one.name: uploaded(str(cell), folder) if cell and one.kind == "file" else cell
            for one, cell in zip(predictor.reads, cells, strict=True)
        }
        images = [uploaded(path, folder) for path in further or ()]
        return text, uploaded(image, folder) if image else None, more, images

    def answer(text: str, image: str | None, further: list[str] | None, *cells: object) -> tuple[str, gr.Label, str]:
        try:
            verdict = judge(predictor, *entered(text, image, further, cells))
        except JointuneError as error:
            verdict = Verdict([str(error)])
        bars = gr.Label(verdict.probabilities, visible=bool(verdict.probabilities))
        return sentence_lines(verdict.sentences), bars, ""  # an explanation of another post goes

    def explain(text: str, image: str | None, further: list[str] | None, *cells: object) -> str:
        try:
            return why(predictor, entered_post(predictor, *entered(text, image, further, cells)))
        except JointuneError as error:
            return sentence_lines([str(error)])

    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="Text", lines=3, placeholder="What the post says; may stay empty")
            image = gr.Image(label="Picture", sources=["upload"], height=240)
            # The file as it is, so that it is opened as everywhere else, with the same messages. Not by a subclass, for
            # which gradio would write a file beside this one.
            image.preprocess = lambda payload: payload.path if payload else None
            further = gr.File(
                label="Further pictures, if there are any",
                file_count="multiple",
                file_types=["image"],
                height=140,
                visible=predictor.image.max_images > 1,
            )
            fields = [_component(one) for one in predictor.reads]
            button = gr.Button("Judge this post", variant="primary")
        with gr.Column():
            sentences = gr.HTML(elem_classes="sentences")
            bars = gr.Label(label="Confidence in each label", show_heading=False, visible=False, elem_classes="bars")
            reason = gr.Button("Why?")
            explanation = gr.HTML(elem_classes="why")
            inputs, outputs = [text, image, further, *fields], [sentences, bars, explanation]
            if examples:
                gr.Markdown("Or try one of these:")
            for example in examples:
                shown = gr.Button(
                    example.text or "A picture alone", icon=example.image, size="md", elem_classes="example"
                )
                shown.keep_in_cache.update(shown.temp_files)  # its image is no upload
                values = example.text, example.image and str(example.image), *([None] * len(inputs[2:]))
                filled = shown.click(lambda values=values: values, None, inputs, **_INTERNAL)
                _while_working(filled.then, button, answer, inputs, outputs)
    _while_working(partial(gr.on, [button.click, text.submit]), button, answer, inputs, outputs)
    _while_working(reason.click, reason, explain, inputs, [explanation])


def _component(wanted: Input) -> Component:
    """Make the page's input for one of the model's."""
    name, kind, categories = wanted
    if kind == "text":
        return gr.Textbox(label=name, lines=2, placeholder="Read together with the text; may stay empty")
    if kind == "file":
        return gr.File(label=name, height=100)
    if kind == "number":
        return gr.Textbox(label=f"{name} (a number)")  # a number input would show 0 where nothing is given
    return gr.Dropdown(list(categories or ()), label=name, value=None, allow_custom_value=True)


def _many_posts(predictor: Predictor, folder: Path) -> None:
    def score(
        table: str | None,
        images: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio wants it
    ) -> tuple[str, str, str, gr.File]:
        if table is None:
            return refusal("Choose a CSV file first.")
        out = Path(tempfile.mkdtemp(dir=folder)) / f"{Path(table).stem}.scored.csv"
        try:
            result = score_table(
                predictor,
                uploaded(table, folder),
                uploaded(images, folder) if images else None,
                out,
                lambda rows: progress((rows, None), desc="Scoring", unit="rows"),
            )
        except JointuneError as error:
            return refusal(str(error))
        scored.temp_files.add(str(out))  # gradio shows a copy, and deletes the files that it knows of
        charts = chart(result.answers) + preview(result.first)
        file = gr.File(str(out), visible=True)
        return sentence_lines(result.sentences), charts, problem_list(result.problems), file

    def refusal(reason: str) -> tuple[str, str, str, gr.File]:
        return sentence_lines([reason]), "", "", gr.File(None, visible=False)

    gr.Markdown(
        "A CSV file with a column `text`, a column `image`, or both, as for `jointune predict`; and a zip file with "
        "the pictures, under the paths in the column `image`, several of a post with semicolons between them. Rows "
        "that cannot be used are left out and listed."
    )
    with gr.Row():
        table = gr.File(label="Table (CSV)", file_types=[".csv"], height=140)
        images = gr.File(label="Pictures (zip), if there are any", file_types=[".zip"], height=140)
    button = gr.Button("Score the table", variant="primary")
    sentences = gr.HTML(elem_classes="sentences")
    scored = gr.File(label="Scored table", interactive=False, visible=False)
    charts, problems = gr.HTML(elem_classes="scored"), gr.HTML(elem_classes="problems")
    _while_working(button.click, button, score, [table, images], [sentences, charts, problems, scored])
