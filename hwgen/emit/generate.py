"""Everything that a core needs, in one folder: Verilog, board top, constraints, manifest, bench."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, store
from ..boards import Board
from ..boards.prepare import prepare
from ..files import MANIFEST, NETWORK, write_json
from ..network import Network
from ..plan import Plan
from ..reference import run
from ..rtl.instance import CoreInstance
from ..rtl.top import Core
from .verilog import to_verilog

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CORE", "beats_of", "generate", "write_bench", "write_vectors"]

CORE = "hwgen_core"
"""The Verilog module of the core."""

BENCH_FRAMES = 4
"""Frames of random pixels that the bench in the folder is run with."""


def beats_of(x: NDArray[np.integer], lanes: int) -> NDArray[np.uint8]:
    """Frames (N, H, W, C) as the bytes of ``s_axis_tdata``, (N, beats, lanes): a byte per lane, two's complement."""
    return (x.reshape(len(x), -1, lanes) & 0xFF).astype(np.uint8)


def generate(network: Network, board: Board, folder: str | Path, *, plan: Plan) -> dict[str, Any]:
    """Write the core of ``network`` for ``board`` into ``folder`` (which exists and is empty); returns the manifest.

    ``core.v``: the core alone, what is simulated, to be dropped into any design; ``top.v``: the board's top around it;
    the pin constraints; ``network.npz``; ``bench/``: a cocotb bench that runs without hwgen; ``manifest.json``.
    """
    folder = Path(folder)
    identity = store.identity(network)
    core = Core(network, plan.foldings, plan.fifos, lanes=plan.result_lanes, identity=int(identity[:16], 16))
    to_verilog(core, folder / "core.v", name=CORE)
    # The board's top instantiates that same file, so that what is synthesized is what was simulated.
    top = prepare(board, CoreInstance(core, CORE), folder)
    store.save(network, folder / NETWORK)
    manifest = {
        "hwgen": __version__,
        "network": network.name,
        "identity": identity,
        **top,
        "sources": ["core.v", *top["sources"]],
        "core": CORE,
        "device": f"{board.family} {board.device} {board.package}".strip(),
        "inputs": [
            {
                "name": i.tensor,
                "ports": i.prefix,
                "shape": network.tensor(i.tensor).shape,
                "lanes": i.lanes,
                "beats": i.beats,
            }
            for i in core.inputs
        ],
        "outputs": [
            {
                "name": o.tensor,
                "ports": o.prefix,
                "shape": network.tensor(o.tensor).shape,
                "lanes": o.lanes,
                "words": o.words,
                "scale": network.tensor(o.tensor).scale,
            }
            for o in core.outputs
        ],
        "macs": network.macs,
        "cycles_per_frame": plan.cycles_per_frame,
        "plan": plan.as_dict(),
    }
    write_bench(network, core, plan, folder / "bench")
    write_json(folder / MANIFEST, manifest)
    return manifest


def write_bench(network: Network, core: Core, plan: Plan, folder: Path) -> None:
    """Write the bench: its two programs, the description of the core, and frames of random pixels."""
    folder.mkdir()
    for program in ("bench.py", "run_bench.py"):  # copied, not imported: they need cocotb, generating does not
        (folder / program).write_bytes((resources.files("hwgen.sim") / program).read_bytes())
    taps = [
        {
            "layer": layer.name,
            "engine": engine,
            "lanes": folding.lanes,
            "bits": layer.output.interval.bits,
            "signed": layer.output.interval.signed,
        }
        for layer, engine, folding in zip(network.layers, core.engines, plan.foldings, strict=True)
    ]
    description = {
        "core": CORE,
        "sources": ["../core.v"],
        "inputs": [{"name": i.tensor, "ports": i.prefix} for i in core.inputs],
        "outputs": [{"name": o.tensor, "ports": o.prefix, "lanes": o.lanes} for o in core.outputs],
        # A frame needs at most the cycles of all stages to pass, stalls several times as many.
        "patience": 10_000 + 10 * (plan.input_cycles + plan.output_cycles + sum(p.cycles for p in plan.layers)),
        "taps": taps,
    }
    (folder / "bench.json").write_text(json.dumps(description, indent=2) + "\n")
    rng = np.random.default_rng(0)
    x = {
        tensor.name: rng.integers(tensor.interval.lo, tensor.interval.hi, (BENCH_FRAMES, *tensor.shape), endpoint=True)
        for tensor in network.inputs
    }
    write_vectors(network, [i.lanes for i in core.inputs], x, folder / "vectors.npz", layers=True)


def write_vectors(
    network: Network,
    lanes: Sequence[int],
    x: Mapping[str, NDArray[np.integer]],
    path: Path,
    *,
    layers: bool = False,
) -> None:
    """The bench's vectors for input integers ``x``, (N, H, W, C) by input name; ``layers`` adds every layer's tensor.

    lanes: of every input.
    """
    tensors = {**x, **run(network, x, every=True)}
    vectors: dict[str, Any] = {}
    for index, (tensor, count) in enumerate(zip(network.inputs, lanes, strict=True)):
        vectors[f"input{index}"] = beats_of(x[tensor.name], count)
    vectors |= {f"output{index}": tensors[name] for index, name in enumerate(network.outputs)}
    if layers:
        vectors |= {f"layer{index}": tensors[layer.name] for index, layer in enumerate(network.layers)}
    np.savez(path, **vectors)
