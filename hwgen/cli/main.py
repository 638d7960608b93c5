"""The entry point ``hwgen``: the list of commands, ``--version``, and how errors leave the program."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from hwgen import __version__
from hwgen.errors import HwgenError

from .build import build
from .check import check
from .compare import compare
from .demo import demo
from .drop import drop
from .evaluate import evaluate
from .export import export
from .generate import generate
from .quantize import quantize
from .simulate import simulate
from .synth import synth

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables helps nobody here: users get a sentence, programmers the plain traceback.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hwgen {__version__}")
        raise typer.Exit


@app.callback()
def hwgen(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """From a trained CNN to a verified, multiplier-free FPGA accelerator, on open tools."""


app.command("check", short_help="supported? layer by layer; which boards fit")(check)
app.command("quantize", short_help="weights become codes, activations integers")(quantize)
app.command("eval", short_help="float against quantized accuracy, SQNR of every layer")(evaluate)
app.command("compare", short_help="ways to quantize a model, side by side")(compare)
app.command("drop", short_help="nested codes cut down to fewer bits")(drop)
app.command("export", short_help="the quantized network as QONNX, for other tools")(export)
app.command("generate", short_help="Verilog, constraints, manifest and test bench")(generate)
app.command("simulate", short_help="bit-exact against the reference, or the first difference")(simulate)
app.command("synth", short_help="Yosys and nextpnr: size, clock rate, bitstream")(synth)
app.command("build", short_help="all of the above but check")(build)
app.command("demo", short_help="the whole way on a bundled model")(demo)


def _open_standard_streams() -> None:
    """Let a closed stream (``hwgen ... >&-``) be the null device: Python has None there, and prints it elsewhere."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8", closefd=False))


class _Stopped(BaseException):
    """A signal asks the program to end. An exception, so that tools end with it and nothing half-written stays.

    Not ``KeyboardInterrupt``, which Typer answers by itself, each version with another exit code.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _stop(number: int, frame: object) -> None:
    raise _Stopped(number)


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Where a signal is handled as usual: who starts hwgen may have it ignored, as a shell does in the background."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    replaced = {}
    with suppress(ValueError):  # outside the main thread there are no signals to handle
        for number, handler in usual.items():
            if signal.getsignal(number) == handler:
                replaced[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line on ``arguments`` (default: those of the process) and exit.

    Exit codes: 0 done, 1 a simulation differs from the reference, 2 the user can mend it (one sentence on standard
    error), 130 interrupted, 141 who reads the output went away (``| head``), 143 terminated: 128 plus the signal.
    """
    _open_standard_streams()
    try:
        with _signals_as_exceptions():
            app(args=arguments, prog_name="hwgen")
    except HwgenError as error:
        sentence = str(error)
    except OSError as error:  # a full disk, a file without read permission: the user's to mend, not a bug
        sentence = (error.strerror or str(error)) + (f": {error.filename}" if error.filename else "")
    except _Stopped as stopped:
        print("interrupted" if stopped.number == signal.SIGINT else "terminated", file=sys.stderr)
        sys.exit(128 + stopped.number)
    except SystemExit as left:
        # Typer and Rich answer a closed pipe with 1, which means "it differs from the reference" here.
        if isinstance(left.__context__, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still to be flushed
            sys.exit(141)
        raise
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)
