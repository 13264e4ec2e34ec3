"""The command line: one table, command to function."""

import inspect
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

from jointune import __version__
from jointune.cli.audit import audit
from jointune.cli.cache import cache
from jointune.cli.check import check
from jointune.cli.compare import compare
from jointune.cli.demo import demo
from jointune.cli.embed import embed
from jointune.cli.evaluate import evaluate
from jointune.cli.explain import explain
from jointune.cli.export import export
from jointune.cli.import_ import import_
from jointune.cli.options import Terminal
from jointune.cli.predict import predict
from jointune.cli.serve import serve
from jointune.cli.train import train
from jointune.cli.tune import tune
from jointune.cli.ui import ui
from jointune.errors import InterruptedWork, JointuneError, JointuneWarning, settings_rendered_by
from jointune.utils.files import why
from jointune.utils.threads import set_up_threads
from jointune.utils.wording import option

COMMANDS: dict[str, Callable[..., None]] = {
    "import": import_,
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "explain": explain,
    "embed": embed,
    "serve": serve,
    "ui": ui,
    "compare": compare,
    "audit": audit,
    "tune": tune,
    "export": export,
    "cache": cache,
    "demo": demo,
}


class Command(TyperCommand):
    """A command whose help groups its options by panel, in plain lines that no width cuts."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options: a flag alone, any other option with what it takes."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            if record is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=26)


app = typer.Typer(
    help="Fine-tune a text encoder and an image encoder jointly into one classifier of posts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut the names of options where the terminal is narrow
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for name, function in COMMANDS.items():
    app.command(name, cls=Command, short_help=(function.__doc__ or "").split("\n\n")[0])(function)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Show the version and exit.")
) -> None:
    if version:
        typer.echo(f"jointune {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@contextmanager
def _clean_ending() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: child processes end and temporary files are removed.

    Their handlers are put back at the end.
    """
    ended: list[int] = []
    # Those that are ignored, as SIGHUP is under nohup, stay so. Windows has no SIGHUP.
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    caught = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def interrupt(number: int, _: object) -> None:
        for other in caught:
            signal.signal(other, signal.SIG_IGN)  # a second one would cut the cleaning up short
        ended.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        caught.clear()  # only the main thread may set handlers
    for number in caught:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
        if ended:
            sys.exit(128 + ended[0])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default that of the process; print an error of ours, or of the system, in one message.

    The exit code is 2 after an error, 130 after Ctrl-C, and 143 after SIGTERM, or 130 if training saved its state
    first. Signal handlers and warning filters are put back at the end; the standard streams escape from now on what
    their encoding cannot show, and OpenMP's variables in the environment stay as ``set_up_threads`` sets them.
    """
    with suppress(OSError):
        # A file that is opened later must not become the standard output that was closed.
        while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(handle)
    with _clean_ending():
        try:
            _run(list(sys.argv[1:] if arguments is None else arguments))
        except SystemExit as end:
            if _stdout_is_lost() and not end.code:
                _fail("standard output could not be written; the command itself ended well")
            raise


def _run(arguments: list[str]) -> None:
    set_up_threads()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a label or a path that the terminal cannot show
    console = Terminal(stderr=True)
    try:
        with settings_rendered_by(option), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other packages' warnings are not for the user of a command
            warnings.simplefilter("default", JointuneWarning)  # once, even if trials repeat it
            warnings.showwarning = lambda message, *_, **__: console.print(f"note: {message}", style="yellow")
            _check_working_folder()
            app(arguments, prog_name="jointune")
    except InterruptedWork as error:
        console.print(f"{error}; go on with the same command and --resume", style="yellow")
        sys.exit(130)
    except JointuneError as error:
        _fail(_message(error, arguments[:1]))
    except OSError as error:
        _stdout_is_lost()
        _fail(f"{error.filename or 'standard output or a file'}: {why(error)}")
    except KeyboardInterrupt:
        console.print("interrupted", style="yellow")
        sys.exit(130)


def _message(error: JointuneError, command_name: list[str]) -> str:
    """Return an error's message, with the option at fault if the message names the argument or nothing."""
    message, command, name = str(error), COMMANDS.get("".join(command_name)), error.setting
    if name and command and name in inspect.signature(command).parameters:
        flag = option(name)
        if flag not in message:
            value, text = re.fullmatch(rf"(?:{name}(?:=(\S+))?: )?(.*)", message, re.DOTALL).groups()  # type: ignore[union-attr]
            return f"{flag}{f' {value}' if value else ''}: {text}"
    return message


def _fail(message: str) -> NoReturn:
    with suppress(OSError):
        Terminal(stderr=True).print(f"error: {message}", style="red")
    sys.exit(2)


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as reason:
        raise JointuneError(f"the working folder is gone, or closed to you: {why(reason)}", "cd to another") from reason


def _stdout_is_lost() -> bool:
    """Flush standard output; return True if it cannot be written: a full disk, or a reader that went away."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # The interpreter would try again when it ends, with a traceback.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return True
    return False
