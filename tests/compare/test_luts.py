"""Plans at one rate, so that LUTs compare."""

from dataclasses import replace

import pytest

from hwgen import boards
from hwgen.compare.luts import LARGER, Planner
from hwgen.errors import HwgenError
from hwgen.plan import plan
from hwgen.quantize import quantize

from .networks import frames, small

BOARD = boards.board("icebreaker")


@pytest.fixture(scope="module")
def networks():
    model = small()
    return [quantize(model, frames(model, 20), code=code, method="plain") for code in ("pot3", "e2m1", "int8")]


def test_the_first_sets_the_rate(networks):
    planner = Planner(BOARD)
    pair = networks[1::-1]  # the larger one first: at its rate the smaller one fits too
    rows = [planner.hardware(network) for network in pair]
    fastest = plan(pair[0], BOARD)
    assert planner.target_fps == pytest.approx(fastest.frames_per_second, rel=1e-9)
    assert rows[0] | {"lut": 0} == {"fits": True, "reason": None, "lut": 0, "bram": fastest.cost.bram,
                                    "frames_per_second": fastest.frames_per_second}  # fmt: skip
    for network, row in zip(pair, rows, strict=True):
        assert row["frames_per_second"] >= planner.target_fps
        assert row["lut"] == plan(network, BOARD, target_fps=planner.target_fps).cost.lut


@pytest.mark.parametrize("cycles", [3, 11, 163, 1000, 12345])
def test_a_rate_turned_into_cycles_and_back(networks, monkeypatch, cycles):
    """Not a cycle less by rounding, which the first network itself could not reach."""
    seen = []

    class Fastest:
        frames_per_second = BOARD.frequency_mhz * 1e6 / cycles

    def planned(network, board, *, target_fps=None, clock_mhz=None):
        if target_fps is None:
            return Fastest
        seen.append(int(clock_mhz * 1e6 / target_fps))
        return plan(network, board)

    monkeypatch.setattr("hwgen.compare.luts.plan", planned)
    Planner(BOARD).hardware(networks[0])
    assert seen == [cycles]


def test_what_does_not_fit_says_so_and_how_large_it_is(networks):
    row = Planner(replace(BOARD, lut=700), 200_000).hardware(networks[2])
    assert (row["fits"], row["lut"] > 700) == (False, True)
    assert row["reason"].startswith("the network does not fit icebreaker: it needs about")
    assert str(row["lut"]) in row["reason"]
    row = Planner(replace(BOARD, bram=2), 10_000).hardware(networks[0])
    assert (row["fits"], row["lut"] > 0) == (False, True)
    assert row["reason"].startswith(f"the network does not fit icebreaker: it needs {row['bram']} block RAMs of 2")


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-85f"])
def test_the_size_of_what_does_not_fit_is_that_of_the_same_plan(networks, name):
    board = boards.board(name)
    larger = replace(board, lut=LARGER * board.lut, bram=LARGER * board.bram)
    for network in networks[:2]:
        for fps in (1_000, 20_000, 100_000):
            real, other = (plan(network, one, target_fps=fps) for one in (board, larger))
            assert (real.foldings, real.cost) == (other.foldings, other.cost)


def test_a_rate_that_is_out_of_reach(networks):
    row = Planner(BOARD, 1e9).hardware(networks[0])
    assert (row["fits"], row["lut"], row["bram"], row["frames_per_second"]) == (False, None, None, None)
    assert "frames/s" in row["reason"]


def test_a_network_that_fits_at_no_rate_sets_none(networks):
    tiny = Planner(replace(BOARD, lut=10))
    assert [tiny.hardware(network)["lut"] for network in networks[:2]] == [None, None]
    assert tiny.target_fps is None


def test_a_target_must_be_positive():
    for fps in (0, -1, float("nan")):
        with pytest.raises(HwgenError, match="target fps must be positive"):
            Planner(BOARD, fps)
