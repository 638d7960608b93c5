"""``hwgen demo``: the whole way on the bundled model, without arguments and without a network connection."""

from __future__ import annotations

from pathlib import Path

from hwgen import api

from .build import show_build
from .options import Json, OutputFolder
from .output import execute
from .simulate import fail_if_different

__all__ = ["demo"]


def demo(
    output: OutputFolder = Path("hwgen-demo"),
    as_json: Json = False,
) -> None:
    """Turn a bundled digit classifier into a verified iCEBreaker bitstream."""
    result = execute(lambda progress: api.demo(output, progress=progress), show_build, as_json)
    fail_if_different(result["simulate"])
