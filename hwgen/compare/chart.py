"""A comparison as a chart: what a scheme is good for against what it costs, a marker with a name for each.

Figures are made without pyplot, which keeps those that it makes, and settings hold only while a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

__all__ = ["draw"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000")
"""Of codes; those of Okabe and Ito, which colour-blind people can tell apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Of methods and activations."""

STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "hwgen", "font.size": 9.0}
"""Text stays text, and the same comparison gives the same bytes."""

WAYS = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))
DISTANCES = (7, 14, 24, 36, 50, 66)
"""Where a label may be, seen from its marker, and how far away, in points."""


class Mark(NamedTuple):
    """A scheme in a panel."""

    x: float
    y: float
    name: str
    colour: str
    marker: str
    filled: bool


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw ``result``, as :func:`hwgen.api.compare` returns it, as the SVG or PNG file ``path``.

    Accuracy, or the output's SQNR where there are no labels, against the weights' storage, each layer in its smallest
    format, and against estimated LUTs. Schemes that do not fit the board are hollow.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 5), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharey=True)
        labelled = result["float_accuracy"] is not None
        left.set_ylabel("accuracy, %" if labelled else "output SQNR, dB")
        fps = result["target_fps"]
        rate = "" if fps is None else f" at {fps:,.0f} frames/s"
        left.set_xlabel("weights, KiB, Huffman-coded where that is smaller")
        right.set_xlabel(f"LUTs on {result['board']}{rate}, estimated (hollow: does not fit)")
        marks = {left: _marks(result, "best_bits", 1 / 8192), right: _marks(result, "lut", 1)}
        right.xaxis.set_major_formatter("{x:,.0f}")
        for axes, found in marks.items():
            _panel(axes, found)
            if labelled:
                height = 100 * result["float_accuracy"]
                axes.axhline(height, color="#555555", linewidth=0.8, linestyle="--", zorder=1)
                axes.annotate("float", (1, height), (-4, 2), axes.get_yaxis_transform(), "offset points", ha="right")
        figure.draw_without_rendering()  # settles where everything is, so that labels can be placed
        for axes, found in marks.items():
            _label(axes, found, canvas)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _marks(result: Mapping[str, Any], cost: str, unit: float) -> list[Mark]:
    """The schemes that have both figures: a colour for a code, a marker for a method and its activations."""
    quality, factor = ("output_sqnr_db", 1) if result["float_accuracy"] is None else ("accuracy", 100)
    schemes = result["schemes"]
    codes = list(dict.fromkeys(row["code"] for row in schemes))
    ways = list(dict.fromkeys((row["method"], row["act_bits"]) for row in schemes))
    return [
        Mark(
            row[cost] * unit,
            row[quality] * factor,
            row["name"],
            COLOURS[codes.index(row["code"]) % len(COLOURS)],
            MARKERS[ways.index((row["method"], row["act_bits"])) % len(MARKERS)],
            row["fits"],
        )
        for row in schemes
        if row[cost] is not None and row[quality] is not None
    ]


def _panel(axes: Axes, marks: Sequence[Mark]) -> None:
    axes.margins(0.15)
    axes.grid(visible=True, color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    for mark in marks:
        face = mark.colour if mark.filled else "white"
        axes.plot([mark.x], [mark.y], mark.marker, color=mark.colour, markerfacecolor=face, markersize=7)
    if not marks:
        axes.text(0.5, 0.5, "no scheme has this figure", ha="center", va="center", transform=axes.transAxes)


def _label(axes: Axes, marks: Sequence[Mark], canvas: FigureCanvasAgg) -> None:
    """Write a name beside every marker, where it covers no other name and no marker as far as there is room."""
    renderer = canvas.get_renderer()
    centres = axes.transData.transform([(mark.x, mark.y) for mark in marks]) if marks else ()
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in centres]
    for mark in marks:
        label = axes.annotate(
            mark.name,
            (mark.x, mark.y),
            (0, 0),
            textcoords="offset points",
            color=mark.colour,
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": mark.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
        )
        label.set_in_layout(False)
        places = [(distance, way) for distance in DISTANCES for way in WAYS]
        costs = []
        for distance, way in places:
            box = _moved(label, distance, way, renderer)
            covered = _area(box) - _common(box, axes.bbox) + sum(_common(box, other) for other in taken)
            costs.append((covered, distance))
        taken.append(_moved(label, *places[costs.index(min(costs))], renderer))


def _moved(label: Annotation, distance: float, way: tuple[int, int], renderer: Any) -> Bbox:
    """Put ``label`` where ``way`` says, and return the box of its text, without its line, in pixels."""
    label.set_position((distance * way[0], distance * way[1]))
    label.set_horizontalalignment(("center", "left", "right")[way[0]])
    label.set_verticalalignment(("center", "bottom", "top")[way[1]])
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer)


def _area(box: Bbox) -> float:
    return float(box.width * box.height)


def _common(one: Bbox, other: Bbox) -> float:
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else _area(both)
