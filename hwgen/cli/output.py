"""What a command prints: a table or one JSON object on standard output, progress on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hwgen.tools import Progress

__all__ = ["Show", "execute", "number", "percent", "rows", "short", "table"]

LEAST_TEXT = 8
"""Characters that a column of text must have beside figures that are not folded."""

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
    """Print a table. A heading that starts with ``>`` aligns its column to the right, being figures.

    Where the console is too narrow, headings of figures stand word below word, and text is folded, but no figure.
    """
    cells = [tuple(line) for line in lines]
    right = [heading.startswith(">") for heading in headings]
    titles = [heading.lstrip(">") for heading in headings]
    columns = list(zip(titles, *cells, strict=True))
    narrow = sum(max(map(cell_len, column)) + 2 for column in columns) - 2 > console.width
    if narrow:
        titles = ["\n".join(text.split()) if figures else text for text, figures in zip(titles, right, strict=True)]
    whole = not narrow or _narrow_width(titles, right, cells) <= console.width
    printed = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    printed.padding = (0, 1 if narrow else 2, 0, 0)  # right of a cell
    for text, figures in zip(titles, right, strict=True):
        justify: Literal["left", "right"] = "right" if figures else "left"
        printed.add_column(text, justify=justify, overflow="fold", no_wrap=figures and whole)
    for line in cells:
        printed.add_row(*line)
    console.print(printed)


def _narrow_width(titles: Sequence[str], right: Sequence[bool], cells: Sequence[Sequence[str]]) -> int:
    """The least width of a table with whole figures: text may be folded to :data:`LEAST_TEXT`."""
    total = len(titles) - 1
    for index, (text, figures) in enumerate(zip(titles, right, strict=True)):
        widest = max(map(cell_len, [*text.split("\n"), *(line[index] for line in cells)]))
        total += widest if figures else min(widest, LEAST_TEXT)
    return total


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
