"""A build's folder: whole, at the end, and what is kept of a build that did not succeed.

Quantizing and generating are real; simulation and synthesis, which take minutes, are functions that write what the real
ones write. ``test_api.test_demo`` has all of them.
"""

import json

import pytest

from hwgen import HwgenError, api, build, demo
from hwgen.files import write_json

pytestmark = pytest.mark.synth


class Interrupted(BaseException):
    pass


@pytest.fixture
def place(tmp_path):
    """An output folder with an earlier build in it."""
    place = tmp_path / "out"
    place.mkdir()
    (place / "manifest.json").write_text('{"hwgen": "0"}')
    (place / "top.bin").write_text("earlier")
    return place


@pytest.fixture
def steps(monkeypatch):
    """Sets what simulation and synthesis do; both see the folder that they are called with."""

    def install(simulated=None, synthesized=None, mismatches=0):
        def simulate(folder, data, **options):
            (folder / "simulate.log").write_text("ran")
            (folder / "bench" / "build").mkdir()
            if simulated:
                raise simulated(f"it broke off; see {folder}/simulate.log")
            result = {"folder": str(folder), "mismatches": mismatches, "first_difference": None, "seconds": 1.0}
            write_json(folder / "simulate.json", result)
            return result

        def synth(folder, **options):
            (folder / "nextpnr.log").write_text("ran")
            if synthesized:
                raise synthesized("it does not fit; choose a larger board")
            (folder / "top.bin").write_text("new")
            result = {"folder": str(folder), "bitstream": str(folder / "top.bin"), **options, "seconds": 2.0}
            del result["progress"]
            write_json(folder / "synth.json", result)
            return result

        monkeypatch.setattr(build, "simulate", simulate)
        monkeypatch.setattr(build, "synth", synth)

    return install


def run(place):
    return api.build(demo.model_path(), demo.calibration_path(), place, board="icebreaker", scale=demo.SCALE, seed=7)


def names(place):
    assert [path.name for path in place.parent.iterdir()] == ["out"], "something temporary was left"
    return {path.name for path in place.iterdir()}


CORE = {"core.v", "top.v", "manifest.json", "network.npz", "network.float.onnx", "bench"}
CORE |= {"generate.json", "network.quantize.json", "network.eval.json"}


def test_success(place, steps):
    steps()
    result = run(place)
    assert names(place) >= CORE | {"simulate.json", "synth.json", "build.json", "nextpnr.log"}
    assert (place / "top.bin").read_text() == "new"
    assert not (place / "bench" / "build").exists()
    assert (result["synth"]["seed"], result["seconds"]["synth"]) == (7, 2.0)
    assert (result["folder"], result["synth"]["bitstream"]) == (str(place), str(place / "top.bin"))
    records = build.RECORDS | {"build": "build.json"}
    for step, name in records.items():
        text = (place / name).read_text()
        assert json.loads(text) == (result if step == "build" else result[step])
        assert "/." not in text, "a temporary name was left"
    assert result["quantize"]["network"] == result["eval"]["network"] == str(place / "network.npz")


def test_differences_leave_no_bitstream(place, steps):
    steps(mismatches=3, synthesized=AssertionError)
    result = run(place)
    assert (result["simulate"]["mismatches"], result["synth"]) == (3, None)
    assert names(place) >= CORE | {"simulate.json", "simulate.log", "build.json"}
    assert names(place).isdisjoint({"top.bin", "synth.json"})


def test_what_a_failed_synthesis_leaves(place, steps):
    steps(synthesized=HwgenError)
    with pytest.raises(HwgenError, match=r"^it does not fit; choose a larger board \(the core is in '.*/out'\)$"):
        run(place)
    assert names(place) >= CORE | {"simulate.json", "simulate.log", "nextpnr.log"}
    assert names(place).isdisjoint({"top.bin", "synth.json", "build.json"})


def test_what_a_failed_simulation_leaves(place, steps):
    """The sentence names the log where it is now."""
    steps(simulated=HwgenError)
    with pytest.raises(HwgenError, match=rf"^it broke off; see {place}/simulate\.log \(the core is in"):
        run(place)
    assert names(place) >= CORE | {"simulate.log"}
    assert names(place).isdisjoint({"top.bin", "simulate.json", "build.json"})


@pytest.mark.parametrize("step", ["simulated", "synthesized"])
@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt, ValueError])
def test_interrupts_and_bugs_leave_the_earlier_build(place, steps, step, error):
    steps(**{step: error})
    with pytest.raises(error):
        run(place)
    assert names(place) == {"manifest.json", "top.bin"}
    assert (place / "top.bin").read_text() == "earlier"


def test_an_unwritable_place_is_noticed_first(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a slow step was begun")

    monkeypatch.setattr(build, "quantize", refuse)
    (tmp_path / "file").write_text("")
    with pytest.raises(HwgenError, match="lies below a file; choose another place"):
        run(tmp_path / "file" / "out")
