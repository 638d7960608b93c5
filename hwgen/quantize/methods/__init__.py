"""Quantization methods, one file each; :mod:`.catalogue` knows them by name."""

from .catalogue import DEFAULT_METHOD, METHODS, Recipe, method_of
from .method import Method
from .problem import Coder, Problem

__all__ = ["DEFAULT_METHOD", "METHODS", "Coder", "Method", "Problem", "Recipe", "method_of"]
