"""SAWB's two coefficients for every named codebook, fitted anew, beside the published ones.

    python benchmarks/sawb.py            print the table
    python benchmarks/sawb.py --write    also write it to ``benchmarks/results/sawb.json`` and ``.md``

For each of six densities the clip with the least squared error is searched, and a straight line in ``E|w|`` is put
through them (:mod:`hwgen.quantize.methods.sawb`). "Loss" is what that line, or a clip at the largest of 1,000 weights,
loses to the best clips, in dB of noise: the mean of the six densities. The coefficients of codebooks that gain by them,
and for which nothing is published, are those of ``REFITTED``; the script prints what to put there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hwgen.codes import CODES
from hwgen.quantize.methods.sawb import PUBLISHED, REFITTED, coefficients, fitted, losses, profits

RESULTS = Path(__file__).parent / "results"

SPACED = {f"{count} equally spaced": tuple(range(1 - count, count, 2)) for count in PUBLISHED}


def measure() -> list[dict[str, Any]]:
    """One row for each set of levels."""
    named = {name: tuple(book.sorted_levels.tolist()) for name, book in CODES.items()}
    rows = []
    for name, levels in {**SPACED, **named}.items():
        line = fitted(levels)
        by_line, by_peak = losses(levels, line)
        published = PUBLISHED.get(len(levels)) if name in SPACED else None
        if name in CODES and name not in REFITTED and coefficients(CODES[name]) in PUBLISHED.values():
            published = coefficients(CODES[name])
        rows.append(
            {
                "levels": name,
                "c1": round(line[0], 3),
                "c2": round(line[1], 3),
                "published": published,
                "loss_db": round(float(by_line.mean()), 2),
                "loss_of_peak_db": round(float(by_peak.mean()), 2),
                "used": "published" if published else "refitted" if profits(levels, line) else "largest weight",
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """``rows`` as Markdown."""
    lines = [
        "SAWB, `alpha = c1 * sqrt(E[w^2]) + c2 * E|w|`: made by `python benchmarks/sawb.py --write`.",
        "",
        "| levels | c1 | c2 | published | loss, dB | loss of the largest weight, dB | used |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        published = "-" if row["published"] is None else "{:g}, {:g}".format(*row["published"])
        lines.append(
            f"| {row['levels']} | {row['c1']:.3f} | {row['c2']:.3f} | {published} | {row['loss_db']:.2f} "
            f"| {row['loss_of_peak_db']:.2f} | {row['used']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/sawb.json and .md")
    arguments = parser.parse_args()
    rows = measure()
    print(table(rows))
    for row in rows:
        if row["levels"] in CODES and row["used"] == "refitted":
            print(f'    "{row["levels"]}": ({row["c1"]}, {row["c2"]}),')
    if arguments.write:
        (RESULTS / "sawb.json").write_text(json.dumps(rows, indent=2) + "\n")
        (RESULTS / "sawb.md").write_text(table(rows))


if __name__ == "__main__":
    main()
