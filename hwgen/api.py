"""The steps of hwgen as functions: files in, files and a plain dict out. The command line calls these and nothing else.

Every function takes paths, raises :class:`HwgenError` with one sentence for whatever a user can mend, leaves nothing
half-written, and returns the dict that it also writes as JSON beside its output: ``NET.quantize.json``,
``NET.drop.json`` and ``NET.eval.json`` beside a network file, ``generate.json``, ``simulate.json``, ``synth.json``,
``build.json`` inside a folder. ``scale, mean, std`` say how raw data becomes model input, ``(x * scale - mean) / std``,
each one value or one per channel. ``progress`` gets a short line now and then.

Import it as ``from hwgen import api``: ``hwgen.quantize`` and ``hwgen.synth`` are packages.
"""

from .build import build, demo
from .steps import check, compare, drop, evaluate, export, generate, quantize, simulate, synth
from .tools import Progress

__all__ = [
    "Progress", "build", "check", "compare", "demo", "drop", "evaluate", "export", "generate", "quantize", "simulate",
    "synth",
]  # fmt: skip
