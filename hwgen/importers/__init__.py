"""Importers: trained models from files into a :class:`FloatGraph`, plain frozen data."""

from .graph import FloatGraph, Node
from .onnx import load_model

__all__ = ["FloatGraph", "Node", "load_model"]
