"""The generated core in a real simulator: equality under stalls, and a difference traced to its first wrong value."""

import dataclasses
import json
import os
import re
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

from ..graphs import two_ends
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
    result = simulate(folder, x, stalls=3, progress=seen.append)
    assert (result["frames"], result["mismatches"], result["first_difference"]) == (12, 0, None)
    assert result["latency_cycles"] > result["cycles_per_frame"] / 2
    # The prediction is for steady state; a small map has little of it.
    assert abs(result["cycles_per_frame"] / manifest["cycles_per_frame"] - 1) < 0.1
    assert (seen[0], seen[-1]) == ("building the simulation", "simulating, frame 12/12")
    assert not (folder / "simulate.json").exists()  # the caller's to write


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
    around = found["around"]
    assert (around["along"], row in around["rows"], column in around["columns"]) == ("column", True, True)
    part = np.ix_([frame], around["rows"], around["columns"], [channel])
    np.testing.assert_array_equal(around["expected"], expected[part][0, ..., 0])
    np.testing.assert_array_equal(around["actual"], actual[part][0, ..., 0])


def copy_of(generated, tmp_path):
    """The folder as `hwgen generate` left it, to be spoiled."""
    folder = tmp_path / "core"
    shutil.copytree(generated[0], folder, ignore=shutil.ignore_patterns("build"))
    return folder


def test_a_corrupt_core_is_traced_to_its_layer(generated, tmp_path):
    """Wrong weights in the last layer, whose map is one pixel: what is around it are other channels."""
    _, network, x, _ = generated
    folder = copy_of(generated, tmp_path)
    text = (folder / "core.v").read_text()
    engine = json.loads((folder / "bench" / "bench.json").read_text())["taps"][-1]["engine"]
    start = text.index(f"module hwgen_core_{engine}_weights")
    end = text.index("endmodule", start)
    spoiled, words = re.subn(r"(\[\d+\] = \d+'h)[0-9a-f]+;", r"\g<1>1;", text[start:end])
    assert words > 1
    (folder / "core.v").write_text(text[:start] + spoiled + text[end:])
    result = simulate(folder, x, frames=2, trace=True)
    expected = run(network, x[:2].astype(np.int64), every=True)["fourth"]
    found = result["first_difference"]
    assert result["trace"] is True
    assert result["mismatches"] > 0
    assert (found["layer"], found["row"], found["column"]) == ("fourth", 0, 0)
    assert found["expected"] == expected[found["frame"], 0, 0, found["channel"]] != found["actual"]
    around = found["around"]
    assert (around["along"], around["rows"], around["columns"]) == ("channel", [0], [0, 1, 2])
    assert around["expected"] == expected[found["frame"], 0].tolist()
    assert around["actual"][0][found["channel"]] == found["actual"]


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
    """Its output is cut off in the Verilog, so every word is lost; no earlier result is left behind."""
    folder = copy_of(generated, tmp_path)
    text = (folder / "core.v").read_text()
    connection = ".tvalid(m_axis_tvalid)"
    assert text.count(connection) == 1
    (folder / "core.v").write_text(text.replace(connection, ".tvalid()"))
    (folder / "simulate.json").write_text("{}")
    stopped = r"stopped after \d+ beats in and 0 words out \(nothing offered: first, .*fourth\)"
    with pytest.raises(HwgenError, match=stopped):
        simulate(folder, generated[2])
    assert not (folder / "simulate.json").exists()


def test_bad_requests(generated):
    folder, _, x, _ = generated
    with pytest.raises(HwgenError, match="simulator 'modelsim' is not known; choose one of verilator, icarus"):
        simulate(folder, x, simulator="modelsim")
    with pytest.raises(HwgenError, match="frames must be between 1 and the 12 in the data, not 13"):
        simulate(folder, x, frames=13)


@pytest.mark.parametrize("name", ["manifest.json", "network.npz", "core.v", "bench/bench.json", "bench/run_bench.py"])
@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_incomplete_folders(generated, tmp_path, name, kind):
    folder = copy_of(generated, tmp_path)
    (folder / name).unlink() if kind == "missing" else (folder / name).write_text("")
    with pytest.raises(HwgenError, match=rf"{re.escape(name)}' is {kind}; run hwgen generate again"):
        simulate(folder, generated[2])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("manifest.json", '{"hwgen": 1}', "manifest.json' has no usable 'inputs'"),
        ("manifest.json", '{"inputs": []}', "manifest.json' has no usable 'lanes'"),
        ("manifest.json", '{"inputs": [{"lanes": "two"}]}', "manifest.json' has no usable 'lanes'"),
        ("manifest.json", '{"inputs": [{"lanes": 5}]}', "manifest.json' has no usable 'lanes'"),
        ("bench/bench.json", "{", "bench.json' is damaged"),
        ("bench/bench.json", "{}", "bench.json' has no usable 'core'"),
    ],
)
def test_damaged_descriptions(generated, tmp_path, name, content, reason):
    folder = copy_of(generated, tmp_path)
    (folder / name).write_text(content)
    with pytest.raises(HwgenError, match=f"{reason}; run hwgen generate again"):
        simulate(folder, generated[2])


def test_a_truncated_core(generated, tmp_path):
    folder = copy_of(generated, tmp_path)
    text = (folder / "core.v").read_text()
    (folder / "core.v").write_text(text[: len(text) // 2])
    with pytest.raises(HwgenError, match=r"the simulator refuses '.*core\.v': line \d+.*; run hwgen generate again"):
        simulate(folder, generated[2])


def test_a_damaged_bench(generated, tmp_path):
    folder = copy_of(generated, tmp_path)
    program = folder / "bench" / "run_bench.py"
    program.write_text(program.read_text() + "}\n")
    with pytest.raises(HwgenError, match=r"cannot be built: SyntaxError: unmatched '}'; see .*simulate\.log"):
        simulate(folder, generated[2])


def test_the_bench_refuses_a_wrong_variable(generated):
    done = subprocess.run(
        [sys.executable, generated[0] / "bench" / "run_bench.py"],
        env={**os.environ, "VERILATOR": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    sentence = "error: VERILATOR names '/nonexistent', which is not a program called verilator\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.parametrize("stalls", [None, 4])
def test_several_inputs_and_outputs(graph, stalls):
    """Every layer and every output of a core with two inputs and three outputs."""
    folder, network = graph
    rng = np.random.default_rng(3)
    x = {tensor.name: frames(rng, tensor, 8) for tensor in network.inputs}
    result = simulate(folder, x, stalls=stalls, trace=True)
    assert (result["frames"], result["mismatches"], result["first_difference"]) == (8, 0, None)


def test_an_output_of_several_lanes(tmp_path):
    """More results than inputs: they leave four at a time, as fast as the slowest layer makes them."""
    rng = np.random.default_rng(4)
    source = tensor((3, 2, 4))
    first = conv(rng, source, 8, (2, 1), name="first")
    second = conv(rng, first.output, 24, (1, 1), output=SIGNED, name="second")
    network = chain(first, second, source=source)
    target = board("ulx3s-25f")
    found = plan(network, target, clock_mhz=100, target_fps=100e6 / 24)
    manifest = generate(network, target, tmp_path, plan=found)
    (output,) = manifest["outputs"]
    assert (output["lanes"], output["words"]) == (4, 2 * 2 * 24)
    assert manifest["plan"]["outputs"] == [{"name": "second", "lanes": 4, "cycles": 24}]
    result = simulate(tmp_path, frames(rng, source, 12).astype(np.uint8), stalls=5)
    assert (result["frames"], result["mismatches"], result["first_difference"]) == (12, 0, None)
    assert result["cycles_per_frame"] <= manifest["cycles_per_frame"] + 2
    vectors = np.load(tmp_path / "bench" / "vectors.npz")
    assert (vectors["output0"] < 0).any(), "signs of every lane are compared"


def test_a_difference_on_a_branch_is_named(graph, tmp_path):
    """With the second source of the concatenation changed, its values differ, not those before or beside it."""
    folder, network = graph
    copied = tmp_path / "core"
    shutil.copytree(folder, copied)
    first = network.layers[0]
    codes = first.codes.copy()
    codes[2] = first.codebook.encode(-first.codebook.decode(codes[2]))
    wrong = dataclasses.replace(network, layers=(dataclasses.replace(first, codes=codes), *network.layers[1:]))
    rng = np.random.default_rng(3)
    x = {tensor.name: frames(rng, tensor, 2) for tensor in network.inputs}
    (copied / NETWORK).unlink()
    store.save(wrong, copied / NETWORK)
    found = simulate(copied, x)["first_difference"]
    assert (found["layer"], found["channel"]) == ("a", 2)
    assert found["expected"] != found["actual"]
    assert found["expected"] in np.array(found["around"]["expected"])


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A core of two inputs and three outputs, and its network."""
    network = two_ends(np.random.default_rng(1))
    folder = tmp_path_factory.mktemp("graph")
    target = board("icebreaker")
    generate(network, target, folder, plan=plan(network, target, target_fps=20_000))
    return folder, network
