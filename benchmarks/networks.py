"""Whole networks on a board: accuracy, simulation with stalls, and what place and route makes of them.

    python -m benchmarks.networks --only NETWORK --work DIR [--frames 5] [--no-synth] [--seed 1] [--write]

Run from the root of the repository; needs the folder of shared data (``HWGEN_DATA``, else ``../shared/data``). A
network takes 20 minutes to two hours, nearly all of them in nextpnr. Everything that is made stays in ``DIR/NETWORK``,
and what is there already is not made again, so that a run can go on where another was stopped. ``--write`` merges the
figures into ``benchmarks/results/networks.json`` and makes ``networks.md`` of it.

Weights are E2M1, method ``auto``; calibration is without labels, on samples that do not judge. Rates are sustained:
cycles between frames of the simulated core times the routed clock.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import DATA, MAX_CALIBRATION, NETWORKS, RESULTS, channel_last
from hwgen import api, store, tools
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower
from hwgen.network import Conv
from hwgen.reference import quantize_input, run

BOARD = "ulx3s-85f"


@dataclass(frozen=True)
class Setting:
    """Activation bits (of all, or on average over multiply-accumulates), what the planner aims at, and the goals."""

    act_bits: int | None = None
    mean_act_bits: float | None = None
    target_fps: float | None = None
    max_luts: int | None = None
    clock_mhz: float = 125
    goal_fps: float = 0
    goal_density: float | None = None


SETTINGS = {
    "resnet8": Setting(mean_act_bits=5, target_fps=10_000, goal_fps=10_000, goal_density=6),
    "kws": Setting(mean_act_bits=5, target_fps=31_250, goal_fps=30_000),
    "vww": Setting(act_bits=6, target_fps=8_400, goal_fps=8_000),
    "ad01": Setting(act_bits=6, target_fps=310_000, goal_fps=300_000),
    "resnet20": Setting(act_bits=6, target_fps=2_540, goal_fps=2_500),
}


def quantized(name: str, setting: Setting, folder: Path) -> dict[str, Any]:
    """The network file, the samples that judge it, and how well it does."""
    model, file = NETWORKS[name], folder / "network.npz"
    samples = model.samples(DATA)
    if not file.is_file():
        np.savez(folder / "calibration.npz", x=np.asarray(samples.calibration)[:MAX_CALIBRATION])
        np.savez(folder / "test.npz", x=np.asarray(samples.test)[:100])
        bits = {"act_bits": setting.act_bits, "mean_act_bits": setting.mean_act_bits}
        options = {key: value for key, value in bits.items() if value is not None}
        api.quantize(DATA / model.file, folder / "calibration.npz", file, **options, **model.normalization)
    network = store.load(file)
    float_network = lower(load_model(DATA / model.file), network.normalization)
    x = channel_last(float_network, np.asarray(samples.test))
    expected = evaluate(float_network, x.astype(np.float32)).reshape(len(x), -1)
    integers = run(network, quantize_input(network, x)).reshape(len(x), -1)
    noise = expected - network.output.scale * integers
    result: dict[str, Any] = {
        "test_samples": len(x),
        "output_sqnr_db": round(10 * float(np.log10(np.vdot(expected, expected) / np.vdot(noise, noise))), 2),
    }
    if samples.labels is not None:
        right = [float((logits.argmax(axis=1) == samples.labels).mean()) for logits in (expected, integers)]
        result |= {"float_accuracy": right[0], "accuracy": right[1]}
    return result


def utilisation(folder: Path, cycles: float) -> float:
    """Share of the instantiated multiply-accumulates that a frame uses."""
    plan = json.loads((folder / "core" / "generate.json").read_text(encoding="utf-8"))["plan"]
    convs = {layer.name for layer in store.load(folder / "network.npz").layers if isinstance(layer, Conv)}
    layers = [layer for layer in plan["layers"] if layer["name"] in convs]
    depthwise = {
        layer.name for layer in store.load(folder / "network.npz").layers if isinstance(layer, Conv) and layer.depthwise
    }
    each = [
        layer["pe"] * prod(layer["unroll"]) * (1 if layer["name"] in depthwise else layer["simd"]) for layer in layers
    ]
    return sum(layer["macs"] for layer in layers) / (cycles * sum(each))


def measured(name: str, folder: Path, *, frames: int, synthesize: bool, seed: int) -> dict[str, Any]:
    """All figures of one network."""
    setting = SETTINGS[name]

    def say(line: str) -> None:
        print(f"{name}: {line}", flush=True)

    row: dict[str, Any] = {"network": name, "board": BOARD, "code": "e2m1", **asdict(setting)}
    row["quality"] = quantized(name, setting, folder)
    say(str(row["quality"]))
    core = folder / "core"
    if not (core / "generate.json").is_file():
        aims = {"target_fps": setting.target_fps, "max_luts": setting.max_luts, "clock_mhz": setting.clock_mhz}
        api.generate(folder / "network.npz", core, board=BOARD, **aims)
    row["plan"] = json.loads((core / "generate.json").read_text(encoding="utf-8"))["plan"]
    if not (folder / "simulate.json").is_file():
        free = api.simulate(core, folder / "test.npz", frames=frames, progress=say)
        stalled = api.simulate(core, folder / "test.npz", frames=frames, stalls=1, progress=say)
        (folder / "simulate.json").write_text(json.dumps({"free": free, "stalled": stalled}), encoding="utf-8")
    row["simulate"] = json.loads((folder / "simulate.json").read_text(encoding="utf-8"))
    cycles = row["simulate"]["free"]["cycles_per_frame"]
    row["utilisation"] = round(utilisation(folder, cycles), 4)
    say(f"{cycles} cycles per frame, utilisation {row['utilisation']:.1%}")
    if synthesize and not (core / "synth.json").is_file():
        result = api.synth(core, seed=seed, progress=say)
        (core / "synth.json").write_text(json.dumps(result), encoding="utf-8")
    if (core / "synth.json").is_file():
        row["synth"] = json.loads((core / "synth.json").read_text(encoding="utf-8"))
        row["synth"]["latency_us"] = row["simulate"]["free"]["latency_cycles"] / row["synth"]["fmax_mhz"]
    return row


def without_paths(value: Any) -> Any:
    """Drop what is true of one machine only: paths, times and rates."""
    local = {"folder", "bitstream", "commands", "seconds", "tool_seconds", "log"}
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items() if key not in local}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def table(data: dict[str, Any]) -> str:
    """The rows in Markdown."""
    versions = ", ".join(f"{tool} {version}" for tool, version in data["versions"].items())
    lines = [
        f"Made by `python -m benchmarks.networks --only NETWORK --work DIR --write` with {versions}. {BOARD}:"
        " LFE5U-85F, speed grade 6. LUT: LUT4s after packing.",
        "",
        "| network | activations | float | quantized | output SQNR | frames, free and stalled | differ | cycles/frame |"
        " planned | MACs busy |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    cores = [
        "",
        "| network | LUT | planned | FF | BRAM | planned | DSP | MHz | inf/s | goal | GOP/s | GOP/s/kLUT |"
        " latency us |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        quality, simulated, plan = row["quality"], row["simulate"], row["plan"]
        bits = f"{row['act_bits']} bits" if row["act_bits"] else f"{row['mean_act_bits']:g} bits on average"
        accuracy = [f"{quality[key]:.2%}" if key in quality else "" for key in ("float_accuracy", "accuracy")]
        runs = simulated["free"], simulated["stalled"]
        cells = [row["network"], bits, *accuracy, f"{quality['output_sqnr_db']:.1f} dB"]
        cells += [" + ".join(str(each["frames"]) for each in runs), sum(each["mismatches"] for each in runs)]
        cells += [f"{runs[0]['cycles_per_frame']:g}", plan["cycles_per_frame"], f"{row['utilisation']:.1%}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
        routed = row.get("synth")
        if routed:
            cells = [row["network"], routed["lut"], plan["lut"], routed["ff"], routed["bram"], plan["bram"]]
            cells += [routed["dsp"], f"{routed['fmax_mhz']:.1f}", f"{routed['inferences_per_second']:,.0f}"]
            density = f" (goal {row['goal_density']:g})" if row["goal_density"] else ""
            cells += [f"{row['goal_fps']:,}", f"{routed['gops']:.0f}", f"{routed['gops_per_klut']:.2f}{density}"]
            cells.append(f"{routed['latency_us']:.0f}")
            cores.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines + cores) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(SETTINGS), default=tuple(SETTINGS))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--no-synth", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="merge the rows into benchmarks/results")
    options = parser.parse_args()
    file = RESULTS / "networks.json"
    for name in options.only:
        folder = options.work / name
        folder.mkdir(parents=True, exist_ok=True)
        row = measured(name, folder, frames=options.frames, synthesize=not options.no_synth, seed=options.seed)
        rows = {old["network"]: old for old in json.loads(file.read_text())["rows"]} if file.is_file() else {}
        rows[name] = without_paths(row)
        versions = {tool: tools.version(tool) for tool in ("yosys", "nextpnr-ecp5", "verilator")}
        data = {"versions": versions, "rows": [rows[other] for other in SETTINGS if other in rows]}
        if options.write:
            file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
            file.with_suffix(".md").write_text(table(data), encoding="utf-8")
        print(table(data))


if __name__ == "__main__":
    main()
