"""jointune ui."""

import time
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import Abstain, AllowedHosts, BundleArgument, Device, Engine, Ood, out
from jointune.inference.load import check_options, load_predictor
from jointune.utils.extras import check_installed
from jointune.utils.run_folder import scratch_folder


def ui(
    bundle: BundleArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 7860,
    allowed_host: AllowedHosts = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="POSTS", help="Posts to try it on, with columns text, image and label: one of each label is shown."
        ),
    ] = None,
    abstain: Abstain = None,
    ood: Ood = False,
    device: Device = None,
    engine: Engine = None,
) -> None:
    """Show a page in the browser to try a model on: a post, a table of posts, the model card."""
    check_installed("gradio", "ui", "jointune ui")
    check_options(bundle, device, abstain, engine)
    start = time.perf_counter()

    from jointune.serve.hosts import allowed_hosts
    from jointune.serve.listen import bind
    from jointune.ui.examples import choose_examples
    from jointune.ui.launch import gradio_folder, make_app, show

    def announce(address: str) -> None:
        out.print(f"ready after {time.perf_counter() - start:.1f} s: open {address} in a browser; Ctrl-C ends it")

    with bind(host, port) as listener, scratch_folder("ui") as folder:
        hosts = allowed_hosts(listener.getsockname()[0], allowed_host or ())
        out.print(f"loading {bundle} ...")
        with gradio_folder(folder):
            predictor = load_predictor(bundle, device, abstain, engine, ood=ood)
            shown = choose_examples(predictor.labels, folder, examples)
            show(make_app(predictor, folder, Path(bundle).resolve().name, shown, hosts), listener, announce)
