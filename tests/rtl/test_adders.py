"""Emitted adders equal the expressions they stand for, by proof; ``VERILOG`` defines them."""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Shape, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import hwgen.emit.verilog
from hwgen import tools
from hwgen.codes import CODES, explicit
from hwgen.emit.verilog import to_verilog
from hwgen.errors import HwgenError
from hwgen.interval import Interval
from hwgen.rtl.adders import VERILOG, gate_add, mux_add, sign_add
from hwgen.rtl.pe import PE

pytestmark = pytest.mark.synth

WIDTHS = range(1, 15)
# Of total and addends: as wide as the result and narrower, of either sign, and wider (the result is modulo its width).
# The last says whether the result is signed.
CASES = [
    (signed(14), signed(14), signed(14), True),
    (signed(14), signed(3), signed(5), True),
    (signed(2), signed(7), unsigned(4), True),
    (unsigned(5), unsigned(9), signed(1), True),
    (signed(6), signed(7), unsigned(7), False),
]


class Adders(wiring.Component):
    """Every adder of every width in ``WIDTHS``."""

    def __init__(self, a, b, c, is_signed):
        self._shapes = [Shape(width, is_signed) for width in WIDTHS]
        outputs = {f"{kind}{shape.width}": Out(shape) for kind in ("mux", "sign", "gate") for shape in self._shapes}
        super().__init__({"a": In(a), "b": In(b), "c": In(c), "s": In(1), "p": In(1), "n": In(1), **outputs})

    def elaborate(self, platform):
        m = Module()
        for shape in self._shapes:
            width = shape.width
            mux = mux_add(m, platform, f"m{width}", self.a, self.b, self.c, self.s, shape)
            sign = sign_add(m, platform, f"s{width}", self.a, self.b, self.p, self.n, shape)
            gate = gate_add(m, platform, f"g{width}", self.a, self.b, self.p, shape)
            for kind, result in (("mux", mux), ("sign", sign), ("gate", gate)):
                m.d.comb += getattr(self, f"{kind}{width}").eq(result)
        return m


def compare(component, folder, commands):
    """Run Yosys ``commands`` on ``component`` as expressions (``gold``) and as its emitted Verilog (``gate``)."""
    (folder / "gold.il").write_text(rtlil.convert(component, name="gold", emit_src=False))
    to_verilog(component, folder / "gate.v", name="gate")
    script = f"read_verilog gate.v; hierarchy -check -top gate; flatten; read_rtlil gold.il; proc; {commands}"
    tools.run("yosys", ["-p", script], cwd=folder, log=folder / "compare.log")


SOLVE = "miter -equiv -flatten -make_outputs gold gate miter; hierarchy -top miter; sat -verify -prove trigger 0 miter"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_emitted_adders_equal_expressions(case, tmp_path):
    compare(Adders(*case), tmp_path, SOLVE)
    text = (tmp_path / "gate.v").read_text()
    for cell in ("hwgen_mux_add", "hwgen_sign_add", "hwgen_gate_add"):
        assert len(re.findall(rf"^  {cell} #", text, re.MULTILINE)) == len(WIDTHS)


@pytest.mark.parametrize(
    ("old", "new"), [("s ? b : c", "s ? c : b"), ("~b &", "-b &"), ("a + (b & {WIDTH{p}})", "a + b")]
)
def test_wrong_adders_are_refuted(old, new, tmp_path, monkeypatch):
    assert VERILOG.count(old) == 1
    monkeypatch.setattr(hwgen.emit.verilog, "VERILOG", VERILOG.replace(old, new))
    with pytest.raises(HwgenError):
        compare(Adders(*CASES[1]), tmp_path, SOLVE)
    assert "model found: FAIL" in (tmp_path / "compare.log").read_text()


def test_a_synthesizer_may_bring_its_own(tmp_path):
    path = to_verilog(Adders(*CASES[0]), tmp_path / "adders.v", name="adders")
    assert path.read_text().endswith(f"\n`ifndef HWGEN_CELLS\n`define HWGEN_CELLS\n{VERILOG}`endif\n")


def test_verilog_without_adders_does_not_define_them(tmp_path):
    component = wiring.Component({"y": Out(1)})
    component.elaborate = lambda platform: Module()
    assert "HWGEN_CELLS" not in to_verilog(component, tmp_path / "none.v", name="none").read_text()


BOOKS = {
    **{name: CODES[name] for name in ("e2m1", "pot3-nozero", "int4", "pot3", "ternary", "binary")},
    "negative only": explicit([-1, -6], "negative only"),
    "positive only": explicit([1, 6], "positive only"),
    "one level": explicit([-6], "one level", zero_free=True),
}
"""Products of every number of stages, and with a sign that is no decision."""


EQUATE = "equiv_make gold gate equal; hierarchy -top equal; equiv_simple; equiv_induct; equiv_status -assert"


def element(name):
    return PE(BOOKS[name], Interval(-8, 7), 6, Interval(-500, 300), groups=2)


@pytest.mark.parametrize("name", BOOKS)
def test_emitted_elements_equal_expressions(name, tmp_path):
    """Register by register, which have the same names in both."""
    compare(element(name), tmp_path, EQUATE)
    # Of six lanes the first of each chain has no adder; and there is the accumulator's.
    assert len(re.findall(r"^  hwgen_\w+_add #", (tmp_path / "gate.v").read_text(), re.MULTILINE)) == 4 + 1


@pytest.mark.parametrize(("name", "old", "new"), [("e2m1", "s ? b : c", "s ? c : b"), ("int4", "~b &", "-b &")])
def test_wrong_elements_are_refuted(name, old, new, tmp_path, monkeypatch):
    monkeypatch.setattr(hwgen.emit.verilog, "VERILOG", VERILOG.replace(old, new))
    with pytest.raises(HwgenError, match="unproven"):
        compare(element(name), tmp_path, EQUATE)
