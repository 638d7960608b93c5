"""The entry point ``hwgen``: the list of commands, ``--version``, and how errors leave the program."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Annotated

import typer

from hwgen import __version__
from hwgen.errors import HwgenError

from .build import build
from .check import check
from .demo import demo
from .evaluate import evaluate
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line on ``arguments`` (default: those of the process) and exit.

    Exit codes: 0 done, 1 the frames of a simulation differ, 2 the user can mend it (one sentence on standard error),
    130 interrupted, 143 terminated.
    """
    _open_standard_streams()
    with suppress(ValueError):  # outside the main thread there are no signals to handle
        # As an exception, so that tools end with hwgen and nothing half-written stays, as after Ctrl-C.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app(args=arguments, prog_name="hwgen")
    except HwgenError as error:
        sentence = str(error)
    except OSError as error:  # a full disk, a file without read permission: the user's to mend, not a bug
        sentence = (error.strerror or str(error)) + (f": {error.filename}" if error.filename else "")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)
