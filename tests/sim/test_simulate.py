"""The generated core in a real simulator: equality under stalls, and a difference traced to its first wrong value."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hwgen import store
from hwgen.boards import board
from hwgen.emit.generate import generate
from hwgen.errors import HwgenError
from hwgen.files import NETWORK
from hwgen.floatnet import PoolKind
from hwgen.plan import plan
from hwgen.reference import run
from hwgen.sim.simulate import simulate

from ..networks import SIGNED, conv, frames, pool, tensor
from ..networks import network as chain

pytestmark = pytest.mark.cosim


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A core of four layers, its folder (simulation built once for all tests here), network and frames."""
    rng = np.random.default_rng(11)
    source = tensor((8, 8, 2))
    first = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), name="first")
    second = pool(rng, first.output, PoolKind.MAX, (2, 2), (2, 2), name="second")
    third = conv(rng, second.output, 6, (2, 2), book="pot3", name="third")
    fourth = conv(rng, third.output, 3, (3, 3), output=SIGNED, name="fourth")
    network = chain(first, second, third, fourth, source=source)
    folder = tmp_path_factory.mktemp("core")
    target = board("icebreaker")
    manifest = generate(network, target, folder, plan=plan(network, target))
    return folder, network, frames(rng, source, 12).astype(np.uint8), manifest


def test_every_word_of_every_frame(generated):
    folder, _, x, manifest = generated
    seen = []
    result = simulate(folder, x, stalls=3, progress=lambda *step: seen.append(step))
    assert (result["frames"], result["mismatches"], result["first_difference"]) == (12, 0, None)
    assert result["latency_cycles"] > result["cycles_per_frame"] / 2
    # The prediction is for steady state; a small map has little of it.
    assert abs(result["cycles_per_frame"] / manifest["cycles_per_frame"] - 1) < 0.1
    assert seen[-1] == (12, 12, "simulating")
    assert json.loads((folder / "simulate.json").read_text())["frames"] == 12


@pytest.mark.parametrize("trace", [False, True])
def test_a_difference_is_named(generated, trace):
    """Against a network with one channel's signs turned: the first wrong value is where the two references part."""
    folder, network, x, _ = generated
    third = network.layers[2]
    codes = third.codes.copy()
    codes[4] = third.codebook.encode(-third.codebook.decode(codes[4]))
    other = dataclasses.replace(third, codes=codes)
    wrong = dataclasses.replace(network, layers=(*network.layers[:2], other, network.layers[3]))
    expected, actual = run(wrong, x, every=True)["third"], run(network, x, every=True)["third"]
    frame, row, column, channel = (int(v) for v in np.argwhere(expected != actual)[0])
    store.save(wrong, folder / NETWORK)
    try:
        result = simulate(folder, x, trace=trace)
    finally:
        store.save(network, folder / NETWORK)
    assert result["mismatches"] > 0
    # Without trace the run is repeated up to the first wrong result, whose frame may be a later one.
    found = result["first_difference"]
    assert found["layer"] == "third"
    assert (found["frame"], found["row"], found["column"], found["channel"]) == (frame, row, column, channel)
    assert found["expected"] == expected[frame, row, column, channel]
    assert found["actual"] == actual[frame, row, column, channel]


def test_the_bench_runs_without_hwgen(generated, tmp_path):
    """As a user runs it: the folder's own program on the folder's own vectors, every layer compared."""
    folder = generated[0]
    (folder / "bench" / "result.json").unlink(missing_ok=True)
    for module in ("bench.py", "run_bench.py"):
        assert "hwgen" not in {
            line.split()[1].split(".")[0]
            for line in (folder / "bench" / module).read_text().splitlines()
            if line.startswith(("import ", "from "))
        }
    done = subprocess.run(
        [sys.executable, folder / "bench" / "run_bench.py", "--trace", "--stalls", "5"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert json.loads((folder / "bench" / "result.json").read_text())["mismatches"] == 0


def test_a_core_that_hangs_does_not_hang_the_bench(generated, tmp_path):
    """Its output is cut off in the Verilog, so back-pressure stops the input too; no earlier result is left behind."""
    folder = tmp_path / "core"
    shutil.copytree(generated[0], folder, ignore=shutil.ignore_patterns("build"))
    text = (folder / "core.v").read_text()
    connection = ".tvalid(m_axis_tvalid)"
    assert text.count(connection) == 1
    (folder / "core.v").write_text(text.replace(connection, ".tvalid()"))
    (folder / "simulate.json").write_text("{}")
    with pytest.raises(HwgenError, match=r"broke off: .*the core stopped after \d+ beats in and 0 words out"):
        simulate(folder, generated[2])
    assert not (folder / "simulate.json").exists()


def test_bad_requests(generated):
    folder, _, x, _ = generated
    with pytest.raises(HwgenError, match="simulator 'modelsim' is not known; choose one of verilator, icarus"):
        simulate(folder, x, simulator="modelsim")
    with pytest.raises(HwgenError, match="frames must be between 1 and the 12 in the data, not 13"):
        simulate(folder, x, frames=13)
