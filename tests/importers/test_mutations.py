"""500 damaged model files: each is refused in one sentence or read, in bounded time and memory, and nothing else is.

A worker process reads them under limits that the operating system enforces; see :mod:`tests.importers.mutant_worker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .mutants import MUTANTS

STEP = 7
"""Every so many mutants one is in the quick test; prime to the number of kinds of damage, so that all occur."""

ROOT = Path(__file__).resolve().parents[2]


def _outcomes(folder: Path, first: int, step: int, count: int) -> list[dict[str, Any]]:
    models = folder / "models"
    models.mkdir()
    command = [sys.executable, "-m", "tests.importers.mutant_worker", *map(str, (models, first, step, count))]
    # One thread: every one of BLAS reserves address space, which is what the limit of memory counts.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    reached = lines[-1]["index"] if lines else "none"
    assert done.returncode == 0, f"the worker died after mutant {reached}, of time or memory: {done.stderr[-2000:]}"
    return lines


def _check(lines: list[dict[str, Any]], count: int) -> None:
    assert len(lines) == count
    defects = {line["index"]: line["defect"] for line in lines if line["defect"]}
    assert not defects, "\n".join(f"mutant {index}: {defect}" for index, defect in defects.items())
    # The damage is neither always fatal nor always without effect, and the sentences tell one from another.
    built = sum(line["outcome"].startswith("built") for line in lines)
    assert 0.05 < built / count < 0.5
    assert len({line["outcome"].split(": ", 1)[-1] for line in lines}) > count / 4


def test_some_mutants(tmp_path):
    count = len(range(0, MUTANTS, STEP))
    _check(_outcomes(tmp_path, 0, STEP, count), count)


@pytest.mark.slow
def test_all_mutants(tmp_path):
    _check(_outcomes(tmp_path, 0, 1, MUTANTS), MUTANTS)
