"""Adders that do a little more than add, for nothing where the carry chain's LUT has an input to spare.

In front of an ECP5's carry there is a LUT with four inputs, and the addend may be any function of three of them that
is 0 when two are 0: a multiplexer of two, or "plus, minus or nothing". Synthesis does not find that, so emitted Verilog
names these adders (``VERILOG`` defines them, for simulation and for other families) and ``hwgen synth`` maps them
to carry cells (``synth/ecp5/adders.v``; ``tests/synth/test_adders.py`` proves the two equal).

Without a platform (in Amaranth's simulator, in proofs) they are plain expressions.
"""

from __future__ import annotations

from amaranth.hdl import *

__all__ = ["VERILOG", "NamedCells", "gate_add", "mux_add", "sign_add"]

VERILOG = """\
module hwgen_mux_add #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input [WIDTH-1:0] c, input s, output [WIDTH-1:0] y
);
  assign y = a + (s ? b : c);
endmodule

module hwgen_sign_add #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input p, input n, output [WIDTH-1:0] y
);
  assign y = a + ((b & {WIDTH{p}}) | (~b & {WIDTH{n}}));
endmodule

module hwgen_gate_add #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input p, output [WIDTH-1:0] y
);
  assign y = a + (b & {WIDTH{p}});
endmodule
"""
"""``a`` plus ``b`` or ``c``; plus ``b``, ``~b`` or 0; plus ``b`` or 0. All modulo ``2**WIDTH``."""


class NamedCells:
    """The platform of emission: adders become instances of the modules in ``VERILOG``."""


def mux_add(m: Module, platform, name: str, a, b, c, select, shape: Shape):
    """``a + Mux(select, b, c)`` modulo the width of ``shape``; combinational."""
    if isinstance(platform, NamedCells):
        return _instance(m, "hwgen_mux_add", name, {"a": a, "b": b, "c": c}, {"s": select}, shape)
    y = Signal(shape, name=name)
    m.d.comb += y.eq(a + Mux(select, b, c))
    return y


def sign_add(m: Module, platform, name: str, a, b, plus, minus, shape: Shape):
    """``a + b`` where ``plus``, ``a + ~b`` where ``minus``, else ``a``, modulo the width of ``shape``; combinational.

    At most one of ``plus`` and ``minus`` is set; ``~b`` is that of a ``b`` as wide as ``shape``, so ``-b - 1``.
    """
    if isinstance(platform, NamedCells):
        return _instance(m, "hwgen_sign_add", name, {"a": a, "b": b}, {"p": plus, "n": minus}, shape)
    y = Signal(shape, name=name)
    m.d.comb += y.eq(a + Mux(plus, b, 0) + Mux(minus, -1 - b, 0))
    return y


def gate_add(m: Module, platform, name: str, a, b, gate, shape: Shape):
    """``a + b`` where ``gate``, else ``a``, modulo the width of ``shape``; combinational."""
    if isinstance(platform, NamedCells):
        return _instance(m, "hwgen_gate_add", name, {"a": a, "b": b}, {"p": gate}, shape)
    y = Signal(shape, name=name)
    m.d.comb += y.eq(a + Mux(gate, b, 0))
    return y


def _instance(m: Module, kind: str, name: str, operands: dict, controls: dict, shape: Shape):
    """The output of an instance of module ``kind``, operands extended to the width of ``shape`` by their own sign."""
    y = Signal(shape, name=name)
    ports = {f"i_{port}": control for port, control in controls.items()}
    for port, value in operands.items():
        wide = Signal(shape, name=f"{name}_{port}")
        m.d.comb += wide.eq(value)
        ports[f"i_{port}"] = wide
    m.submodules[f"{name}_adder"] = Instance(kind, p_WIDTH=shape.width, o_y=y, **ports)
    return y
