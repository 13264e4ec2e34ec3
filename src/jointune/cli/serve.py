"""jointune serve."""

import ipaddress
import math
import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from jointune.cli.options import Abstain, AllowedHosts, BundleArgument, Device, Engine, Ood
from jointune.errors import SettingsError, setting
from jointune.inference.load import check_options, load_predictor
from jointune.serve.limits import MEGABYTE, Limits
from jointune.utils.extras import check_installed


def _limit(help_text: str, metavar: str | None = None) -> Any:
    return typer.Option(metavar=metavar, help=help_text, rich_help_panel="Limits")


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
    max_batch: Annotated[int, _limit("Posts scored at once.")] = Limits.max_batch,
    max_wait: Annotated[float, _limit("Milliseconds to wait for a fuller batch.", "MS")] = 1000 * Limits.max_wait,
    queue: Annotated[int, _limit("Posts taken and not answered; beyond them the answer is 503.")] = Limits.queue,
    timeout: Annotated[float, _limit("For one answer; then it is 503.", "SECONDS")] = Limits.timeout,
    max_body: Annotated[float, _limit("Of one request.", "MB")] = Limits.body_bytes / MEGABYTE,
    max_picture: Annotated[float, _limit("Of one picture's file.", "MB")] = Limits.image_bytes / MEGABYTE,
    max_pixels: Annotated[float, _limit("Of one picture.", "MILLIONS")] = Limits.image_pixels / 1e6,
    abstain: Abstain = None,
    ood: Ood = False,
    device: Device = None,
    engine: Engine = None,
) -> None:
    """Answer over HTTP: POST /predict takes a text, a picture, or both, and says label and probabilities."""
    for module in ("fastapi", "prometheus_client", "python_multipart", "uvicorn"):
        check_installed(module, "serve", "jointune serve")
    for name, value in (("max_body", max_body), ("max_picture", max_picture), ("max_pixels", max_pixels)):
        if not 1 <= 1e6 * value < math.inf:
            raise SettingsError(f"{setting(name, value)}: must be above 0, and finite", setting=name)
    if not 0 <= max_wait < math.inf:
        raise SettingsError(f"{setting('max_wait', max_wait)}: must be 0 or more, and finite", setting="max_wait")
    token = _token(token_file)

    from jointune.serve.hosts import allowed_hosts
    from jointune.serve.listen import bind
    from jointune.serve.server import Serving
    from jointune.serve.server import serve as run

    limits = Limits(
        max_batch=max_batch,
        max_wait=max_wait / 1000,
        queue=queue,
        timeout=timeout,
        body_bytes=int(max_body * MEGABYTE),
        image_bytes=int(max_picture * MEGABYTE),
        image_pixels=int(max_pixels * 1e6),
    )
    with bind(host, port) as listener:
        address = listener.getsockname()[0]
        hosts = allowed_hosts(address, allowed_host or ())
        check_options(bundle, device, abstain, engine)
        typer.echo(f"loading {bundle} ...", err=True)
        if token is None:
            _warn(address, allow_urls)
        load = partial(load_predictor, bundle, device, abstain, engine, ood=ood)
        run(Serving(load, limits, token, allow_urls, hosts), listener, workers)


def _warn(address: str, allow_urls: bool) -> None:
    """Warn of what it means that anybody is answered."""
    risks = []
    if not ipaddress.ip_address(address).is_loopback:
        risks.append(f"whoever reaches {address} is answered")
    if allow_urls:
        risks.append("whoever is answered can have this machine connect to any public server")
    if risks:
        typer.echo(f"warning: no token: {', and '.join(risks)}; ask for one with --token-file", err=True)


def _token(file: Path | None) -> str | None:
    """Read the token that clients must show; never from the command line, where every user of the machine sees it."""
    source, token = "JOINTUNE_TOKEN", os.environ.get("JOINTUNE_TOKEN")
    if file is not None:
        try:
            source, token = str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--token-file {file}: not readable: {error}", "name a text file") from error
    if token is None:
        return None
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"{source}: a token is one line of ASCII without blanks", "`openssl rand -hex 32` makes one"
        )
    return token
