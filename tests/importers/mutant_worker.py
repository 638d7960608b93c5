"""Reads mutants under limits of time and memory: ``python -m tests.importers.mutant_worker FOLDER FIRST STEP COUNT``.

It writes one JSON line for each mutant, and dies of one that takes longer than :data:`SECONDS` or more memory than
:data:`MEMORY`.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwgen.errors import HwgenError
from hwgen.importers import load_model
from hwgen.lower import evaluate_tensors, lower, problems
from hwgen.quantize import quantize

from .mutants import MUTANTS, mutant

SECONDS = 10
MEMORY = 2 << 30

LARGEST = 1 << 20
"""Values of a frame that are evaluated and quantized here: how long that takes is no matter of the importers."""


def attempt(path: Path) -> str:
    """What becomes of the model: "built", or the sentence that refuses it. Anything else that is raised is a defect."""
    try:
        graph = load_model(path)
        found = problems(graph)
        network = lower(graph)
        assert not found, "problems, but the model was lowered"
        if sum(math.prod(tensor.output_shape) for tensor in (*network.inputs, *network.layers)) > LARGEST:
            return "built, but too large to run here"
        x = {one.name: np.random.default_rng(0).normal(0, 1, (2, *one.shape)) for one in network.inputs}
        evaluate_tensors(network, x, network.outputs)
        quantize(network, x)
    except HwgenError as error:
        sentence = str(error)
        assert sentence, "an error without a reason"
        assert "\n" not in sentence.removeprefix(str(path)), "an error of several lines"
        return sentence
    return "built"


def _watch(folder: Path, opened: list[str]) -> Callable[[str, tuple[object, ...]], None]:
    """An audit hook that notes every file opened in the folder beside the models', and devices and accounts."""
    forbidden = (str(folder.parent / "outside"), "/etc/passwd", "/dev/zero")

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments and str(arguments[0]).startswith(forbidden):
            opened.append(str(arguments[0]))

    return hook


def main() -> None:
    folder, (first, step, count) = Path(sys.argv[1]), map(int, sys.argv[2:])
    (folder.parent / "outside").mkdir(exist_ok=True)
    (folder.parent / "outside" / "secret.bin").write_bytes(b"\0" * 4096)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    opened: list[str] = []
    sys.addaudithook(_watch(folder, opened))
    warnings.simplefilter("ignore")
    for index in range(first, min(first + step * count, MUTANTS), step):
        path = mutant(index, folder)
        signal.alarm(SECONDS)  # the signal's own action ends the process, whatever code it is in
        started = time.monotonic()
        opened.clear()
        try:
            outcome = attempt(path)
            defect = None
        except BaseException:
            outcome, defect = "", traceback.format_exc(limit=-6)
        signal.alarm(0)
        if opened:
            defect = f"opened {opened}"
        line = {"index": index, "outcome": outcome, "defect": defect, "seconds": time.monotonic() - started}
        os.write(1, (json.dumps(line) + "\n").encode())


if __name__ == "__main__":
    main()
