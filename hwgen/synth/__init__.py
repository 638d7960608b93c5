"""From Verilog to a bitstream with Yosys and nextpnr, and the figures of the result."""

from .run import synth

__all__ = ["synth"]
