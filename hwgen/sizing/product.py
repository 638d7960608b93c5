"""How products with the levels of a codebook are made of multiplexers, shifts and a sign; ``rtl.product`` builds it.

Every level is ``sign * (choices[c] << shifts[s] << (step if far else 0))``. The choices are small multiples of an
activation, made once per lane and shared by all PEs; what a MAC pays for is multiplexers, and a four-input LUT holds
one bit of a multiplexer of two with a sign. The last decision, of the ``step`` or of the sign and of zero, costs
nothing in all lanes but the first of a chain: the carry chain's own LUT takes it (``Absorbed``, ``rtl.adders``).

The code that memory holds is not the codebook's but one of as many bits whose fields are these decisions, so that most
of them are wires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import product as combinations

from ..codes import Codebook
from ..interval import Interval

__all__ = ["CHAIN", "Absorbed", "Control", "Recipe", "array_latency", "operand_luts", "product_interval", "recipe"]

CHAIN = 4
"""Lanes whose products are added one after the other, by adders that absorb part of the product; chains are added by a
tree. A longer chain would save little and needs more registers to delay weights and activations."""

_NOMINAL_BITS = 8
"""Width of an activation for which the cheapest recipe is chosen."""


class Absorbed(Enum):
    """The part of a product that is left to the adder behind it."""

    STEP = "step"
    """Whether the product is shifted by ``step``: a multiplexer of two."""
    SIGN = "sign"
    """Whether the product is added, subtracted or left out."""


@dataclass(frozen=True)
class Control:
    """A decision as a function of the stored word: ``table[word]``; ``low`` is its lowest bit where it is a field."""

    table: tuple[int, ...]
    low: int | None

    @property
    def bits(self) -> int:
        """Width of the decision; 0 when there is nothing to decide."""
        return max(self.table).bit_length()


@dataclass(frozen=True)
class Recipe:
    """How a codebook's products are made, and the words that stand for its codes.

    choices: multiples of an activation, of which the first multiplexer takes one. shifts: of the second one, from 0 on.
    step: the last shift, or 0. reach: the largest level before it. stored[code]: the word in memory, as wide as the
    code (0 for codes that are never stored). choice, shift, far, negative, positive, zero: what a stored word says.
    """

    choices: tuple[int, ...]
    shifts: tuple[int, ...]
    step: int
    reach: int
    stored: tuple[int, ...]
    choice: Control
    shift: Control
    far: Control
    negative: Control
    positive: Control
    zero: Control

    @property
    def absorbed(self) -> Absorbed:
        """What is left to the adder: the step where there is one."""
        return Absorbed.STEP if self.step else Absorbed.SIGN

    @property
    def bases(self) -> tuple[int, ...]:
        """The odd multiples that an activation lane makes; every choice is one of them, shifted."""
        return tuple(sorted({choice // (choice & -choice) for choice in self.choices}))

    @property
    def stages(self) -> int:
        """Registers from the word to what an absorbing adder takes."""
        return int(self.chooses) + int(self.shifts_or_signs)

    @property
    def chooses(self) -> bool:
        """Whether there is a first multiplexer."""
        return len(self.choices) > 1 or self.zeroes_choice

    @property
    def shifts_or_signs(self) -> bool:
        """Whether there is a second one."""
        return len(self.shifts) > 1 or self.absorbed is not Absorbed.SIGN

    @property
    def zeroes_choice(self) -> bool:
        """Whether the first multiplexer makes zero."""
        return self.absorbed is not Absorbed.SIGN and self.zero.bits > 0


def array_latency(book: Codebook, lanes: int) -> int:
    """Cycles from the weights to the accumulator of a PE of ``lanes`` lanes.

    The stages of a product, one more for the first lane of a chain, an addition for each of its other lanes, a tree
    over the chains, the accumulator.
    """
    return recipe(book).stages + min(CHAIN, lanes) + (-(-lanes // CHAIN) - 1).bit_length() + 1


@dataclass(frozen=True)
class _Form:
    """A way to build all magnitudes: ``form[magnitude] = choice, shift, far``."""

    choices: tuple[int, ...]
    shifts: tuple[int, ...]
    step: int
    form: dict[int, tuple[int, int, bool]]


@cache
def recipe(book: Codebook) -> Recipe:
    """The cheapest :class:`Recipe` of ``book``, in LUT4s per MAC of 8-bit activations."""
    return _encoded(book, min(_forms(book), key=lambda form: _cost(book, form)))


def _forms(book: Codebook) -> Iterator[_Form]:
    """Every way with shifts in arithmetic progression; each magnitude is shifted as far as that goes."""
    magnitudes = sorted({abs(level) for level in book.levels} - {0})
    octaves = book.max_level.bit_length()
    seen = set()
    for step, stride, count in combinations(range(octaves), range(1, octaves + 1), range(1, octaves + 1)):
        shifts = range(0, stride * count, stride)
        if (count > 1 and shifts[-1] >= octaves) or (count == 1 and stride > 1):
            continue
        form: dict[int, tuple[int, int, bool]] = {}
        choices: list[int] = []
        for magnitude in magnitudes:
            ways = [
                (shift, far)
                for far in ((False, True) if step else (False,))
                for shift in shifts
                if magnitude % (1 << shift + step * far) == 0
            ]
            ways.sort(key=lambda way: way[0] + step * way[1])
            known = [way for way in ways if magnitude >> way[0] + step * way[1] in choices]
            shift, far = (known or ways)[-1]
            choice = magnitude >> shift + step * far
            if not known:
                choices.append(choice)
            form[magnitude] = choice, shift, far
        used = tuple(sorted({shift for _, shift, _ in form.values()}))
        if used[0] > 0:
            continue  # larger choices do the same with smaller shifts
        reaches = any(far for _, _, far in form.values())
        found = _Form(tuple(sorted(choices)), used, step if reaches else 0, form)
        key = found.choices, found.shifts, found.step, tuple(form.values())
        if key not in seen:
            seen.add(key)
            yield found


def _mux_luts(ranges: list[tuple[int, int]], controls: int) -> int:
    """LUT4s of a multiplexer whose inputs have bits ``low`` to ``high - 1``, with so many control inputs."""
    total = 0
    for bit in range(max(high for _, high in ranges)):
        live = sum(low <= bit < high for low, high in ranges)
        if live + controls > 1:
            total += max(1, live + controls - 3)
    return total


def _cost(book: Codebook, form: _Form) -> float:
    """LUT4s per MAC of all but the addition."""
    luts, width = _operand_luts(book, form, _NOMINAL_BITS)
    first = (width + form.step) / CHAIN  # the first lane of a chain makes its product itself
    # A multiple that is no power of two costs an adder per lane, shared by the PEs of a column.
    adders = sum(choice.bit_length() + 2 for choice in form.choices if choice & (choice - 1)) / 4
    return luts + first + adders


def _operand_luts(book: Codebook, form: _Form | Recipe, taps: int) -> tuple[int, int]:
    """LUT4s of the multiplexers of a lane, and the width behind them; ``taps``: bits of an activation."""
    zero, signed = not book.zero_free, min(book.levels) < 0
    choices, shifts, absorbs_sign = form.choices, form.shifts, form.step == 0
    ranges = []
    for choice in choices:
        low = (choice & -choice).bit_length() - 1
        ranges.append((low, (choice * ((1 << taps) - 1)).bit_length()))
    luts = _mux_luts(ranges, (len(choices) - 1 + (zero and not absorbs_sign)).bit_length())
    width = max(high for _, high in ranges)
    shifted = [(shift, width + shift) for shift in shifts]
    luts += _mux_luts(shifted, _bits(shifts) + (signed and not absorbs_sign))
    return luts + zero, width + shifts[-1]


def operand_luts(book: Codebook, taps: Interval) -> int:
    """LUT4s of the multiplexers of a lane."""
    return _operand_luts(book, recipe(book), taps.bits)[0]


def _encoded(book: Codebook, form: _Form) -> Recipe:
    """``form`` with the words that memory holds: fields where they fit, else the codes themselves."""
    signed = min(book.levels) < 0
    widths = [int(form.step > 0), _bits(form.shifts), _bits(form.choices), int(signed)]
    lows = [sum(widths[:place]) for place in range(4)]

    def word(level: int) -> int:
        choice, shift, far = form.form[abs(level)]
        values = int(far), form.shifts.index(shift), form.choices.index(choice), int(level < 0)
        return sum(value << low for value, low in zip(values, lows, strict=True))

    taken = {level: word(level) for level in set(book.levels) - {0}}
    magnitude_words = 1 << lows[3]
    free = sorted(set(range(magnitude_words)) - {word % magnitude_words for word in taken.values()}, reverse=True)
    fields = sum(widths) <= book.bits and (book.zero_free or bool(free))
    canonical = [book.is_canonical(code) for code in range(len(book.levels))]
    if not fields:
        stored = tuple(code if ok else 0 for code, ok in enumerate(canonical))
    else:
        zero = {} if book.zero_free else {0: free[0]}
        stored = tuple((taken | zero)[level] if ok else 0 for level, ok in zip(book.levels, canonical, strict=True))
    level_of = {stored[code]: book.levels[code] for code, ok in enumerate(canonical) if ok}

    used = [(w, level_of[w]) for w in range(1 << book.bits) if w in level_of]

    def control(place: int) -> Control:
        mask = (1 << widths[place]) - 1
        if fields:
            return Control(tuple(w >> lows[place] & mask for w in range(1 << book.bits)), lows[place])
        return _control(book.bits, {w: word(level) >> lows[place] & mask for w, level in used if level})

    def nonzero(sign: int) -> Control:
        return _control(book.bits, {w: int(level * sign > 0) for w, level in used})

    zero_control = _control(book.bits, {w: int(level == 0) for w, level in used})
    if fields and not book.zero_free:
        # Whatever its sign, so that the detector is small.
        zero_control = Control(tuple(int(w % magnitude_words == free[0]) for w in range(1 << book.bits)), None)
    return Recipe(
        form.choices,
        form.shifts,
        form.step,
        max(choice << shift for choice, shift, _ in form.form.values()),
        stored,
        choice=control(2),
        shift=control(1),
        far=control(0),
        negative=control(3) if fields else nonzero(-1),
        positive=nonzero(1),
        zero=zero_control,
    )


def _control(bits: int, values: dict[int, int]) -> Control:
    """A decision known for some words: a field of the word if any agrees with all of them."""
    width = max(values.values(), default=0).bit_length()
    for low in range(bits - width + 1):
        field = tuple(word >> low & (1 << width) - 1 for word in range(1 << bits))
        if all(field[word] == value for word, value in values.items()):
            return Control(field, low)
    return Control(tuple(values.get(word, 0) for word in range(1 << bits)), None)


def _bits(choices: tuple[int, ...]) -> int:
    return (len(choices) - 1).bit_length()


def product_interval(book: Codebook, taps: Interval) -> Interval:
    """Values of a ones'-complement product of any level of ``book`` with an activation in ``taps``."""
    ends = [0]
    for level in set(book.levels):
        for x in (taps.lo, taps.hi):
            ends.append(level * x - (level < 0))
    return Interval.hull(ends)
