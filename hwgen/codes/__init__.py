"""Codebooks: a weight is a code, a code is a short sum of signed powers of two.

``terms.py``: signed powers of two. ``book.py``: :class:`Codebook`, code to level and back, and rounding to a level.
``families.py``: the families of the literature, each a function of its parameters. ``catalogue.py``: their names.
"""

from .book import Codebook, Rounding
from .catalogue import CODES, codebook, names_of, text_of
from .families import explicit, minifloat
from .terms import Term, signed_terms

__all__ = [
    "CODES",
    "Codebook",
    "Rounding",
    "Term",
    "codebook",
    "explicit",
    "minifloat",
    "names_of",
    "signed_terms",
    "text_of",
]
