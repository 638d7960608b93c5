"""The integer reference: what the hardware computes, in NumPy, with no knowledge of the hardware."""

from .dequantized import dequantized
from .network import quantize_input, run

__all__ = ["dequantized", "quantize_input", "run"]
