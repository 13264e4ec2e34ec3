"""jointune ui."""

import time
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import Abstain, AllowedHosts, BundleArgument, Device, Engine, out
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
    device: Device = None,
    engine: Engine = None,
) -> None:
    """Show a page in the browser to try a model on: a post, a table of posts, the model card."""
    check_installed("gradio", "ui", "jointune ui")
    check_options(bundle, device, abstain, engine)
    began = time.perf_counter()

    from jointune.serve import hosts
    from jointune.serve.server import bind
    from jointune.ui.offline import load_gradio

    with bind(host, port) as line, scratch_folder("ui") as folder:
        allowed = hosts.allowed_hosts(line.getsockname()[0], allowed_host or ())
        out.print(f"loading {bundle} ...")
        load_gradio(folder)

        from jointune.ui.examples import examples as choose
        from jointune.ui.launch import make_app, show

        predictor = load_predictor(bundle, device, abstain, engine)
        title = Path(bundle).resolve().name
        show(
            make_app(predictor, folder, title, choose(predictor.labels, folder, examples), allowed),
            line,
            lambda address: out.print(
                f"ready after {time.perf_counter() - began:.1f} s: open {address} in a browser; Ctrl-C ends it"
            ),
        )
