"""Any number of random networks and ONNX models, in parallel: ``make fuzz N=1000 SEED=0``.

    python -m tests.fuzz --count 1000 --seed 0        networks 0..999 and models 0..999
    python -m tests.fuzz out/fuzz/network17.json      again what failed, as it was shrunk

A failure is shrunk and written to ``out/fuzz``; a file that is moved to ``tests/fuzz/cases`` runs with ``make test``.
Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import UnusedElaboratable

from .check import Failure, Refused, check
from .grow import random_recipe
from .grow_models import random_model
from .recipe import Recipe
from .shrink import MODELS, NETWORKS, shrink

OUT = Path("out/fuzz")

MEMORY = 4 << 30
"""Bytes that a process may have."""

KINDS = {"network": (random_recipe, NETWORKS), "model": (random_model, MODELS)}
"""What is made at random, and how it shrinks."""


@dataclass(frozen=True)
class Outcome:
    """What became of one random network or model; ``failure`` is that of ``recipe``, which is as small as it gets."""

    name: str
    verdict: str
    recipe: Recipe | None = None
    failure: Failure | None = None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random networks: all results agree.")
    parser.add_argument("recipes", nargs="*", type=Path, help="files of recipes to run again")
    parser.add_argument("--count", type=int, default=100, help="random networks, and as many models (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; each following one is one higher")
    parser.add_argument("--only", choices=KINDS, help="only networks (reference, twin, hardware) or only models")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--most", type=int, default=10, help="failures after which to stop (default 10)")
    parser.add_argument("--shrink", type=float, default=120, help="most seconds to shrink a failure")
    arguments = parser.parse_args()
    if arguments.recipes:
        return _again(arguments.recipes)
    start, verdicts = time.monotonic(), Counter[str]()
    for outcome in _outcomes(arguments):
        verdicts[outcome.verdict] += 1
        if outcome.recipe is not None and outcome.failure is not None:
            _report(outcome.name, outcome.recipe, outcome.failure)
        if verdicts["failed"] == arguments.most:
            print(f"stopped after {arguments.most} failures")
            break
        if verdicts.total() % 100 == 0:
            print(f"{_summary(verdicts)} after {time.monotonic() - start:.0f} s", flush=True)
    last = arguments.seed + arguments.count - 1
    print(f"seeds {arguments.seed}..{last}: {_summary(verdicts)} in {time.monotonic() - start:.0f} s")
    return 1 if verdicts["failed"] else 0


def _summary(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())


def _outcomes(arguments: argparse.Namespace) -> Iterator[Outcome]:
    """All seeds, in the order in which they finish. A caller that stops early ends those that have not begun."""
    kinds = [arguments.only] if arguments.only else list(KINDS)
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    pool = ProcessPoolExecutor(arguments.jobs, initializer=_limit_memory)
    try:
        for future in as_completed(
            [pool.submit(try_seed, kind, seed, arguments.shrink) for seed in seeds for kind in kinds]
        ):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _limit_memory() -> None:
    """A ``MemoryError`` is a finding; a process that is killed would take the others with it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def try_seed(kind: str, seed: int, seconds: float) -> Outcome:
    """One random network or model; shrinks what fails for at most ``seconds``."""
    warnings.simplefilter("ignore", UnusedElaboratable)  # of a core whose construction breaks off
    grow, family = KINDS[kind]
    recipe, name = grow(seed), f"{kind}{seed}"
    try:
        found = check(recipe)
    except Refused:
        return Outcome(name, "refused")
    if found is None:
        return Outcome(name, "equal")

    def same(candidate: Recipe) -> bool:
        try:
            other = check(candidate)
        except Refused:
            return False
        return other is not None and other.kind == found.kind

    small = shrink(recipe, same, seconds, family)
    return Outcome(name, "failed", small, check(small) or found)


def _report(name: str, recipe: Recipe, found: Failure) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(recipe, indent=1) + "\n")
    kinds = ", ".join(entry["kind"] for entry in recipe["layers"])
    print(f"{name}: {found.text}\n  shrunk to {kinds}; again: python -m tests.fuzz {path}", flush=True)


def _again(paths: list[Path]) -> int:
    warnings.simplefilter("ignore", UnusedElaboratable)
    failed = False
    for path in paths:
        try:
            found = check(json.loads(path.read_text()))
            text = "equal" if found is None else found.text
            failed |= found is not None
        except Refused as refusal:
            text = f"refused: {refusal}"
        print(f"{path}: {text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
