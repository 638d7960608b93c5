"""What a command prints: a table or one JSON object on standard output, progress on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hwgen.tools import Progress

__all__ = ["Show", "execute", "number", "percent", "rows", "short", "table"]

Show = Callable[[Console, Mapping[str, Any]], None]
"""Prints a result for people."""


def execute(call: Callable[[Progress], dict[str, Any]], show: Show, as_json: bool) -> dict[str, Any]:
    """Run ``call`` with progress on standard error, then print its result as JSON or with ``show``; returns it."""
    with _only_result_on_stdout(), _progress() as progress:
        result = call(progress)
    if as_json:
        # At once: a pipe that was closed is noticed here and not when the interpreter ends.
        print(json.dumps(result, indent=2, allow_nan=False), flush=True)
    else:
        show(_stdout(), result)
    return result


def _stdout() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160  # a file or a pipe has no width; 80 columns would fold the tables
    return console


@contextmanager
def _only_result_on_stdout() -> Iterator[None]:
    """Send what libraries and child processes write to standard output to standard error instead.

    Simulators and make write to file descriptor 1 directly, so redirecting ``sys.stdout`` alone is not enough.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def _progress() -> Iterator[Progress]:
    """The newest line of what is going on, on standard error; silent when that is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda line: None
        return
    with console.status("starting") as status:
        yield lambda line: status.update(escape(line))


def table(
    console: Console, headings: Sequence[str], lines: Iterable[Sequence[str]], *, title: str | None = None
) -> None:
    """Print a table. A heading that starts with ``>`` aligns its column to the right."""
    printed = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    for heading in headings:
        printed.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", overflow="fold")
    for line in lines:
        printed.add_row(*line)
    console.print(printed)


def rows(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    """Print ``name  value`` lines, aligned."""
    printed = Table(box=None, show_header=False, pad_edge=False)
    printed.add_column(style="bold")
    printed.add_column(overflow="fold")
    for name, value in pairs:
        printed.add_row(name, value)
    console.print(printed)


def short(name: str, width: int = 40) -> str:
    """``name``, its beginning left away when it is long: exporters put what tells layers apart at the end."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def number(value: Any, digits: int = 0) -> str:
    """``value`` with thousands separators, or a dash when it is None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: Any) -> str:
    """A fraction 0..1 as a percentage, or a dash when it is None."""
    return "–" if value is None else f"{100 * value:.2f} %"
