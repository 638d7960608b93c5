"""What options of Yosys and nextpnr-ecp5 are worth, on the MNIST core of ``benchmarks/mnist.py`` for a ULX3S 85F.

    python benchmarks/place_and_route.py [--only NAME ...] [--seeds 3] [--core DIR] [--write]

Every setting is placed with the same seeds. ``--core`` takes a folder of ``hwgen generate`` instead of making the core
(which needs the folder of shared data); ``--only`` measures some settings and keeps the stored rows of the others, as
long as tools and core are the same. With ``--write`` the rows go to ``benchmarks/results/place_and_route.json`` and
``.md``. Time is processor time, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from hwgen import api, tools
from hwgen.boards import board
from hwgen.synth import yosys
from hwgen.synth.netlist import improve
from hwgen.synth.nextpnr import place_and_route
from hwgen.synth.report import fmax_mhz, utilization

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("HWGEN_DATA") or Path(__file__).parents[2] / "shared" / "data") / "mnist"
BOARD = "ulx3s-85f"
MAPPING = "-abc9 -nodsp"
TARGET_MHZ = 150


@dataclass(frozen=True)
class Setting:
    """One thing that differs from the default: options of synth_ecp5 or nextpnr, the target, the pass in between."""

    name: str
    nextpnr: tuple[str, ...] = ()
    synth: str = MAPPING
    target_mhz: float = TARGET_MHZ
    passes: bool = True

    def needs(self) -> tuple[str, bool]:
        """What tells netlists apart."""
        return self.synth, self.passes


def option(text: str) -> Setting:
    """The setting of one option of nextpnr, ``--name value``."""
    return Setting(f"nextpnr {text}", tuple(text.split()))


SETTINGS = (
    Setting("default"),
    Setting("yosys -nowidelut", synth=f"{MAPPING} -nowidelut"),
    Setting("no output registers", passes=False),
    option("--router router2"),
    option("--placer static"),
    option("--tmg-ripup"),
    option("--placer-heap-timingweight 40"),
    option("--placer-heap-critexp 4"),
    option("--placer-heap-alpha 0.05"),
    option("--placer-heap-alpha 0.2"),
    option("--placer-heap-beta 0.7"),
    option("--placer-heap-cell-placement-timeout 2"),
    option("--no-tmdriv"),
    Setting("target 100 MHz", target_mhz=100),
)


def generate(folder: Path) -> Path:
    """The core of ``benchmarks/mnist.py`` for the CNTK network, code e2m1."""
    import mnist

    images = mnist.idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    np.savez(folder / "calib.npz", x=images[:1000])
    api.quantize(DATA / "mnist8_cntk.onnx", folder / "calib.npz", folder / "quantized.npz", code="e2m1")
    api.generate(folder / "quantized.npz", folder / "core", board=BOARD)
    return folder / "core"


class Bench:
    """Maps a core once for every set of Yosys' options and routes it as often as asked."""

    def __init__(self, core: Path, work: Path):
        self._core = core
        self._work = work
        self._manifest = json.loads((core / "manifest.json").read_text(encoding="utf-8"))
        self._netlists: dict[tuple[str, bool], Path] = {}

    def identity(self) -> str:
        """A hash of the core's sources."""
        texts = [(self._core / name).read_bytes() for name in self._manifest["sources"]]
        return hashlib.sha256(b"".join(texts)).hexdigest()[:16]

    def measure(self, setting: Setting, seed: int) -> dict[str, Any]:
        """LUTs, flip-flops, MHz and seconds of processor time of one run."""
        netlist = self._netlist(setting)
        before = os.times()
        routed = place_and_route(
            netlist,
            board=board(BOARD),
            top=self._manifest["top"],
            constraints=(self._core / self._manifest["constraints"]).read_text(encoding="utf-8"),
            frequency_mhz=setting.target_mhz,
            seed=seed,
            log=netlist.with_name("nextpnr.log"),
            options=setting.nextpnr,
        )
        after = os.times()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        used = {name: usage.used for name, usage in utilization(routed.report).items()}
        mhz = round(fmax_mhz(routed.report), 2)
        print(f"{setting.name}: seed {seed}, {mhz} MHz, {seconds:.0f} s", flush=True)
        return {"mhz": mhz, "lut": used["TRELLIS_COMB"], "ff": used["TRELLIS_FF"], "seconds": round(seconds)}

    def _netlist(self, setting: Setting) -> Path:
        if setting.needs() not in self._netlists:
            folder = self._work / f"netlist{len(self._netlists)}"
            folder.mkdir()
            for name in self._manifest["sources"]:
                (folder / name).write_bytes((self._core / name).read_bytes())
            top = self._manifest["top"]
            command = yosys._SYNTH["ecp5"].replace(MAPPING, setting.synth)
            with patch.dict(yosys._SYNTH, ecp5=command):
                yosys.map_to_cells(
                    self._manifest["sources"],
                    top=top,
                    family="ecp5",
                    device=board(BOARD).device,
                    folder=folder,
                    log=folder / "yosys.log",
                )
            if setting.passes:
                improve(folder / "netlist.json", top=top)
            self._netlists[setting.needs()] = folder / "netlist.json"
        return self._netlists[setting.needs()]


def table(result: dict[str, Any]) -> str:
    """The Markdown page of a result."""
    rows: dict[str, list[dict[str, Any]]] = result["rows"]

    def median(name: str, key: str) -> float:
        return statistics.median(run[key] for run in rows[name])

    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        f"Made by `python benchmarks/place_and_route.py --write`; the MNIST core `mnist8_cntk`, `{BOARD}`, {versions}.",
        f"Default: `synth_ecp5 {MAPPING}`, output registers of block RAMs used, nextpnr's own settings, target "
        f"{TARGET_MHZ} MHz. Seconds are processor time of nextpnr and ecppack.",
        "",
        "| setting | seeds | MHz, median | lowest to highest | MHz to default | LUT | FF | seconds to default |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in rows.items():
        rates = [run["mhz"] for run in runs]
        cells = [name, str(len(runs)), f"{median(name, 'mhz'):.1f}", f"{min(rates):.1f} to {max(rates):.1f}"]
        cells += [f"{median(name, 'mhz') / median('default', 'mhz'):.3f}", str(runs[0]["lut"]), str(runs[0]["ff"])]
        cells += [f"{median(name, 'seconds') / median('default', 'seconds'):.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--core", type=Path, help="a generated folder for the board")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    file = RESULTS / "place_and_route.json"
    with tempfile.TemporaryDirectory(prefix="hwgen-") as scratch:
        bench = Bench(options.core or generate(Path(scratch)), Path(scratch))
        result: dict[str, Any] = {"versions": {tool: tools.version(tool) for tool in ("yosys", "nextpnr-ecp5")}}
        result |= {"core": bench.identity(), "rows": {}}
        stored = json.loads(file.read_text()) if file.exists() else {}
        kept = stored["rows"] if stored | {"rows": {}} == result else {}
        rows = {name: [] if name in options.only else kept.get(name, []) for name in names}
        for seed in range(1, options.seeds + 1):  # settings inside, so that an interrupted run has some of each
            for setting in SETTINGS:
                if setting.name not in options.only:
                    continue
                rows[setting.name].append(bench.measure(setting, seed))
                result["rows"] = {name: runs for name, runs in rows.items() if runs}
                if options.write and rows["default"]:
                    file.write_text(json.dumps(result, indent=2) + "\n")
                    file.with_suffix(".md").write_text(table(result))
    if rows["default"]:
        print(table(result))


if __name__ == "__main__":
    main()
