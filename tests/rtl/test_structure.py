"""Multiplier-free, as a fact about the netlist: no engine contains a cell that multiplies or divides."""

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen import tools
from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.plan import Folding
from hwgen.rtl.engines import engine_of
from hwgen.rtl.top import Core

from ..networks import conv, network, pool, tensor
from .test_top import small

pytestmark = pytest.mark.synth

ARITHMETIC = "t:$mul t:$div t:$mod t:$divfloor t:$modfloor t:$pow t:$macc t:$macc_v2"


def assert_no_multiplier(component, folder):
    """In the netlist as generated, before any optimization could turn a multiplication into something else."""
    (folder / "dut.il").write_text(rtlil.convert(component, name="dut", emit_src=False))
    script = f"read_rtlil dut.il; hierarchy -top dut; proc; select -assert-min 1 t:*; select -assert-none {ARITHMETIC}"
    tools.run("yosys", ["-q", "-p", script], cwd=folder)


@pytest.mark.parametrize("book", CODES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions(book, groups, tmp_path):
    rng = np.random.default_rng(0)
    source = tensor((4, 4, 4))
    layer = conv(rng, source, 4, (2, 2), pads=(1, 1, 1, 1), dilation=(2, 2), groups=groups, book=book)
    assert_no_multiplier(engine_of(layer, [source], Folding(2, 2, 1)), tmp_path)


@pytest.mark.parametrize("kind", PoolKind)
@pytest.mark.parametrize("kernel", [(2, 2), (4, 4)])
def test_pools(kind, kernel, tmp_path):
    source = tensor((4, 4, 4))
    layer = pool(np.random.default_rng(0), source, kind, kernel, (2, 2))
    assert_no_multiplier(engine_of(layer, [source], Folding(2, 2, 2)), tmp_path)


def test_a_pool_with_divisors(tmp_path):
    source = tensor((4, 4, 4))
    layer = pool(
        np.random.default_rng(0), source, PoolKind.AVERAGE, (3, 3), (1, 1), pads=(1, 1, 1, 1), count_inside=True
    )
    assert_no_multiplier(engine_of(layer, [source], Folding(2, 2, 2)), tmp_path)


def test_a_whole_core(tmp_path):
    assert_no_multiplier(Core(*small()), tmp_path)


def test_dense(tmp_path):
    source = tensor((2, 2, 4))
    layer = conv(np.random.default_rng(0), source, 4, (2, 2), output=Interval.of_bits(20, signed=True))
    assert_no_multiplier(Core(network(layer, source=source), [Folding(4, 2, 1)]), tmp_path)


@pytest.mark.parametrize("factor", ["constant", "variable"])
def test_a_multiplier_is_found(factor, tmp_path):
    class Multiplies(wiring.Component):
        x: In(8)
        y: In(8)
        z: Out(16)

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.z.eq(self.x * (37 if factor == "constant" else self.y))
            return m

    with pytest.raises(HwgenError, match="selection is not empty"):
        assert_no_multiplier(Multiplies(), tmp_path)
