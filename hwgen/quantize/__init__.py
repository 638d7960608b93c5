"""Quantizers: a float network and calibration data to coded weights and integer activations."""

from .network import quantize
from .precision import CodeBudget

__all__ = ["CodeBudget", "quantize"]
