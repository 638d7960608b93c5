"""Quantizers: a float network and calibration data to coded weights and integer activations."""

from .network import quantize

__all__ = ["quantize"]
