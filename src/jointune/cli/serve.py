"""jointune serve."""

import ipaddress
import math
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from jointune.cli.options import Abstain, AllowedHosts, BundleArgument, Device, Engine
from jointune.errors import SettingsError
from jointune.inference.load import check_options, load_predictor
from jointune.utils.extras import check_installed

_LIMITS = "Limits"


def serve(
    bundle: BundleArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8000,
    allowed_host: AllowedHosts = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a model of its own.")] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Ask clients for the bearer token in this file, or in the variable JOINTUNE_TOKEN."
        ),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch pictures from public addresses that clients name.")
    ] = False,
    max_batch: Annotated[int, typer.Option(help="Posts scored at once.", rich_help_panel=_LIMITS)] = 4,
    max_wait: Annotated[
        float, typer.Option(metavar="MS", help="Milliseconds to wait for a fuller batch.", rich_help_panel=_LIMITS)
    ] = 0.0,
    queue: Annotated[
        int, typer.Option(help="Posts taken and not answered; beyond them the answer is 503.", rich_help_panel=_LIMITS)
    ] = 256,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="For one answer; then it is 503.", rich_help_panel=_LIMITS)
    ] = 10.0,
    max_body: Annotated[float, typer.Option(metavar="MB", help="Of one request.", rich_help_panel=_LIMITS)] = 16.0,
    max_picture: Annotated[
        float, typer.Option(metavar="MB", help="Of one picture's file.", rich_help_panel=_LIMITS)
    ] = 10.0,
    max_pixels: Annotated[
        float, typer.Option(metavar="MILLIONS", help="Of one picture.", rich_help_panel=_LIMITS)
    ] = 25.0,
    abstain: Abstain = None,
    device: Device = None,
    engine: Engine = None,
) -> None:
    """Answer over HTTP: POST /predict takes a text, a picture, or both, and says label and probabilities."""
    for module in ("fastapi", "python_multipart", "uvicorn"):
        check_installed(module, "serve", "jointune serve")
    for name, value in (("body", max_body), ("picture", max_picture), ("pixels", max_pixels)):
        if not 1 <= 1_000_000 * value < math.inf:
            raise SettingsError(f"--max-{name} {value}: must be above 0, and finite")
    if not 0 <= max_wait < math.inf:
        raise SettingsError(f"--max-wait {max_wait}: must be 0 or more, and finite")
    token = _token(token_file)

    from jointune.serve import hosts
    from jointune.serve.limits import MEGABYTE, Limits
    from jointune.serve.server import Serving, bind
    from jointune.serve.server import serve as run

    limits = Limits(
        max_batch=max_batch,
        max_wait=max_wait / 1000,
        queue=queue,
        timeout=timeout,
        body_bytes=int(max_body * MEGABYTE),
        bodies_bytes=4 * int(max_body * MEGABYTE),
        image_bytes=int(max_picture * MEGABYTE),
        picture_pixels=int(max_pixels * 1_000_000),
    )
    with bind(host, port) as line:
        address = line.getsockname()[0]
        allowed = hosts.allowed_hosts(address, allowed_host or ())
        check_options(bundle, device, abstain, engine)
        typer.echo(f"loading {bundle} ...", err=True)
        if token is None:
            _warn(address, allow_urls)
        load = partial(load_predictor, bundle, device, abstain, engine)
        run(Serving(load, limits, token, allow_urls, allowed), line, workers)


def _warn(address: str, allow_urls: bool) -> None:
    """Say what it means that anybody is answered, where that may not be meant."""
    risks = []
    if not ipaddress.ip_address(address).is_loopback:
        risks.append(f"whoever reaches {address} is answered")
    if allow_urls:
        risks.append("whoever is answered can have this machine connect to any public server")
    if risks:
        typer.echo(f"warning: no token: {', and '.join(risks)}; ask for one with --token-file", err=True)


def _token(file: Path | None) -> str | None:
    """The token that clients must show; never taken from the command line, where every user of the machine sees it."""
    if file is None:
        token, source = os.environ.get("JOINTUNE_TOKEN"), "JOINTUNE_TOKEN"
        if token is None:
            return None
    else:
        try:
            token, source = file.read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as reason:
            raise SettingsError(f"--token-file {file}: not readable: {reason}", "name a text file") from reason
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"{source}: a token is one line of ASCII without blanks", "`openssl rand -hex 32` makes one"
        )
    return token
