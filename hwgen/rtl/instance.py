"""A core that is already Verilog, seen from Amaranth."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .top import Core

__all__ = ["CoreInstance"]


class CoreInstance(wiring.Component):
    """Instantiates the Verilog module ``name``, emitted from ``core``, with the same ports and attributes."""

    def __init__(self, core: Core, name: str):
        self._name = name
        self.inputs = core.inputs
        self.outputs = core.outputs
        super().__init__(core.signature)

    def elaborate(self, platform):
        ports = {
            ("i_" if member.flow is In else "o_") + name: getattr(self, name)
            for name, member in self.signature.members.items()
        }
        return Instance(self._name, i_clk=ClockSignal(), i_rst=ResetSignal(allow_reset_less=True), **ports)
