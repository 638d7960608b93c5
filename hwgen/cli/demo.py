"""``hwgen demo``: the whole way on the bundled model, without arguments and without a network connection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwgen import api

from .build import show_build
from .options import Json
from .output import execute

__all__ = ["demo"]


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")] = Path(
        "hwgen-demo"
    ),
    as_json: Json = False,
) -> None:
    """Turn a bundled digit classifier into a verified iCEBreaker bitstream."""
    result = execute(lambda progress: api.demo(output, progress=progress), show_build, as_json)
    if result["simulate"]["mismatches"]:
        raise typer.Exit(1)
