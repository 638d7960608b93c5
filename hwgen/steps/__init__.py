"""The steps of hwgen, one file each; :mod:`hwgen.api` says what they have in common."""

from .check import check
from .common import PathLike, Result, Values, check_clock
from .compare import compare
from .drop import drop
from .evaluate import evaluate
from .export import export
from .generate import generate
from .quantize import quantize
from .simulate import simulate
from .synth import synth

__all__ = [
    "PathLike",
    "Result",
    "Values",
    "check",
    "check_clock",
    "compare",
    "drop",
    "evaluate",
    "export",
    "generate",
    "quantize",
    "simulate",
    "synth",
]
