"""Quantizers: a float network and calibration data to coded weights and integer activations."""

from .network import Progress, quantize

__all__ = ["Progress", "quantize"]
