"""Graph methods: a float network to another one that quantizes better, before any weight becomes a code.

Each is a :class:`hwgen.quantize.methods.Method` that only rewrites: no data, no labels, and the same network for the
same arguments.
"""

from .equalise import Equalise
from .factorise import Factorise
from .split import Split

__all__ = ["Equalise", "Factorise", "Split"]
