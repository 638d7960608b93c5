"""The codebooks that have names. A name is a family and its bits: ``pot4``, or ``sp2_4`` if a family ends in a digit.

===================  =========================================================================================
``e2m1`` ``e3m1``    minifloats, sign and subnormals included; any other ``exmy`` works too
``potN``             powers of two: ``E2M0``, ``E3M0``, ``E4M0``
``intN``             symmetric integers: ``E1My``
``apotN``            additive powers of two
``sp2_N``            sums of two powers of two
``dyadicN``          logarithmic, base sqrt(2), with sqrt(2) ~ 3/2: ``E?M1`` without subnormals, but with zero
``sqrt2_N``          logarithmic, base sqrt(2), with sqrt(2) ~ 45/32 = 1 + 1/4 + 1/8 + 1/32, 0.56 % too small
``root4_N``          logarithmic, base 2**(1/4), each step of three terms: 19/16, 23/16 and 27/16 for 1.189, 1.414 and
                     1.682, off by 0.14 %, 1.65 % and 0.34 %
``radix4_N``         powers of four
``shiftcnn``         two greedy terms of 4 bits each
``ternary binary``   0, 1, -1 and 1, -1
``...-nozero``       the minifloat, ``potN`` or ``radix4_N`` without zero and subnormals
===================  =========================================================================================

Zero-free codes
---------------
Without zero there is one more magnitude. A weight of 0 becomes the negative one of the two smallest levels, and an
output channel of zeros gets the smallest scale of its layer: its sum is then small, not zero. That also holds for
weights that are zero by construction, those between the taps of a transposed convolution. Bias correction takes the
mean of such errors out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import HwgenError
from .book import Codebook
from .families import NOZERO, apot, explicit, logarithmic, minifloat, radix4, shiftcnn, sp2

__all__ = ["CODES", "codebook", "names_of", "text_of"]

_LEVELS = re.compile(rf"\s*(-?\d+|{NOZERO})\s*(,\s*(-?\d+|{NOZERO})\s*)+")
"""A list of levels, which is one code."""

_FAMILIES: tuple[tuple[Codebook, ...], ...] = (
    (minifloat(2, 1, "e2m1"), minifloat(3, 1, "e3m1"), minifloat(2, 2, "e2m2")),
    (minifloat(2, 0, "pot3"), minifloat(3, 0, "pot4"), minifloat(4, 0, "pot5")),
    (minifloat(1, 1, "int3"), minifloat(1, 2, "int4"), minifloat(1, 3, "int5"), minifloat(1, 6, "int8")),
    (apot(3, "apot3"), apot(4, "apot4"), apot(5, "apot5")),
    (sp2(4, "sp2_4"), sp2(5, "sp2_5")),
    (logarithmic(4, (2, 3), "dyadic4", first=1), logarithmic(5, (2, 3), "dyadic5", first=1)),
    (logarithmic(4, (32, 45), "sqrt2_4"), logarithmic(5, (32, 45), "sqrt2_5")),
    (logarithmic(4, (16, 19, 23, 27), "root4_4"), logarithmic(5, (16, 19, 23, 27), "root4_5")),
    (radix4(3, "radix4_3"), radix4(4, "radix4_4")),
    (shiftcnn("shiftcnn"),),
    (Codebook("ternary", 2, (0, 1, -1)), Codebook("binary", 1, (1, -1))),
    (
        minifloat(2, 0, f"pot3-{NOZERO}", zero_free=True),
        minifloat(3, 0, f"pot4-{NOZERO}", zero_free=True),
        minifloat(2, 1, zero_free=True),
        radix4(3, f"radix4_3-{NOZERO}", zero_free=True),
        radix4(4, f"radix4_4-{NOZERO}", zero_free=True),
    ),
)

CODES: dict[str, Codebook] = {book.name: book for family in _FAMILIES for book in family}
"""Every codebook that ``--code`` knows by name."""


def codebook(name: str) -> Codebook:
    """The codebook called ``name``: one of :data:`CODES`, any ``exmy`` of up to 6 bits, or a list of levels.

    ``"1,-1,3"`` has zero as well, ``"1,-1,3,nozero"`` has not. Raises :class:`HwgenError` with the known names for
    anything else.
    """
    text = name.strip().lower()
    if text in CODES:
        return CODES[text]
    if form := re.fullmatch(rf"e(\d)m(\d)(-{NOZERO})?", text):
        exponent, mantissa = int(form[1]), int(form[2])
        if 1 <= exponent <= 4 and 2 <= exponent + mantissa + 1 <= 6:
            return minifloat(exponent, mantissa, zero_free=form[3] is not None)
    items = [item.strip() for item in text.split(",")]
    levels = _integers([item for item in items if item != NOZERO])
    if any(levels):
        return explicit(levels, name=text, zero_free=NOZERO in items)
    known = "; ".join(", ".join(book.name for book in family) for family in _FAMILIES)
    raise HwgenError(
        f"code {name!r} is not known; choose one of {known}; or list integer levels: 0,1,-1,3, or 1,-1,3,{NOZERO}"
    )


def names_of(text: str) -> list[str]:
    """The codes listed in ``text``, each once: names between commas or spaces, lists of levels between spaces.

    ``"e2m1,pot3 0,1,-1"`` are three. Nothing is checked but the form.
    """
    found: list[str] = []
    for part in text.lower().split():
        found += [part] if _LEVELS.fullmatch(part) else part.split(",")
    return list(dict.fromkeys(filter(None, found)))


def text_of(book: Codebook) -> str:
    """A text of which :func:`codebook` makes the levels of ``book``: its name where that will do, else the levels."""
    try:
        if codebook(book.name).levels == book.levels:
            return book.name
    except HwgenError:
        pass
    return ",".join(str(level) for level in sorted(set(book.levels))) + (f",{NOZERO}" if book.zero_free else "")


def _integers(items: Sequence[str]) -> list[int]:
    """``items`` as integers; none at all when one is no integer."""
    try:
        return [int(item) for item in items]
    except ValueError:
        return []
