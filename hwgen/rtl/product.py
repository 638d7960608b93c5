"""A product without a multiplier: a weight chooses a multiple of the activation, a shift and a sign.

The multiples (``3a = a + 2a``) are made once per activation lane and shared by all PEs; a MAC is left with one small
multiplexer for the multiple and one for the shift, and what ``sizing.product`` leaves to the adder behind. The sign is
a ones' complement: ``~p = -p - 1``. The missing one per negative weight is known when the hardware is made and sits in
the bias (``bounds.negative_codes``).
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import *

from ..codes import Codebook, signed_terms
from ..interval import Interval
from ..sizing.product import Absorbed, Control, Recipe, product_interval, recipe
from .adders import mux_add, sign_add
from .stream import pipeline_signal, shape_of

__all__ = ["Operand", "accumulate", "first_product", "multiple", "operand"]


def multiple(x, base: int):
    """``base * x`` by shifts and additions."""
    high, *rest = signed_terms(base)
    total = x.shift_left(high.shift)
    for sign, shift in rest:
        total = total + x.shift_left(shift) if sign > 0 else total - x.shift_left(shift)
    return total


@dataclass(frozen=True)
class Operand:
    """A product before its last decision, and that decision.

    ``STEP``: ``near`` or ``distant``, a ones' complement where negative, if ``far``.
    ``SIGN``: ``near`` where ``plus``, its complement where ``minus``, else nothing.
    """

    near: Value
    distant: Value
    far: Value
    plus: Value
    minus: Value


def _decide(m: Module, control: Control, word, name: str):
    """What ``word`` says: a field of it, or a small function of its bits; 0 when there is nothing to decide."""
    if not control.bits:
        return Const(0, 1)
    if control.low is not None:
        return word[control.low : control.low + control.bits]
    value = Signal(control.bits, name=name)
    with m.Switch(word):
        for result in sorted(set(control.table) - {0}):
            with m.Case(*(index for index, entry in enumerate(control.table) if entry == result)):
                m.d.comb += value.eq(result)
    return value


def _registered(m: Module, value, name: str):
    later = pipeline_signal(Value.cast(value).shape(), name=name)
    m.d.sync += later.eq(value)
    return later


def operand(m: Module, book: Codebook, word, multiples: dict[int, Value], taps: Interval, name: str) -> Operand:
    """The product of a lane as an adder takes it, ``recipe(book).stages`` cycles later.

    word: as stored, see ``Recipe.stored``. multiples: ``base * x`` by base.
    """
    how = recipe(book)
    reach, never = taps | Interval(0, 0), Const(0, 1)
    chosen = _multiple_of(multiples, how.choices[0])
    if how.chooses:
        chosen = pipeline_signal(shape_of(reach * max(how.choices)), name=f"{name}_chosen")
        selected = Signal(chosen.shape(), name=f"{name}_selected")
        with m.Switch(_decide(m, how.choice, word, f"{name}_choice")):
            for index, choice in enumerate(how.choices):
                with m.Case(index):
                    m.d.comb += selected.eq(_multiple_of(multiples, choice))
        zero = _decide(m, how.zero, word, f"{name}_zero") if how.zeroes_choice else never
        # A gate, not a multiplexer: of that synthesis would make a reset, another one for every lane of every PE, and a
        # tile of an ECP5 takes only two.
        m.d.sync += chosen.eq(selected & (~zero).replicate(len(selected)))
        word = _registered(m, word, f"{name}_word1")

    negative = _decide(m, how.negative, word, f"{name}_negative")
    if how.absorbed is Absorbed.SIGN:
        positive = _decide(m, how.positive, word, f"{name}_positive")
        if not how.shifts_or_signs:
            return Operand(chosen, chosen, never, positive, negative)
        near = _registered(m, _shifted(m, how, word, chosen, shape_of(reach * how.reach), name), f"{name}_near")
        plus, minus = _registered(m, positive, f"{name}_plus"), _registered(m, negative, f"{name}_minus")
        return Operand(near, near, never, plus, minus)

    values = reach * how.reach
    if how.negative.bits:
        values = values | Interval(-values.hi - 1, -values.lo - 1)
    shifted = _shifted(m, how, word, chosen, shape_of(values), name)
    near = pipeline_signal(shifted.shape(), name=f"{name}_near")
    m.d.sync += near.eq(shifted ^ negative.replicate(len(shifted)))
    fill = _registered(m, negative, f"{name}_fill")
    far = _registered(m, _decide(m, how.far, word, f"{name}_far"), f"{name}_far1")
    distant = Cat(fill.replicate(how.step), near)
    return Operand(near, distant.as_signed() if near.shape().signed else distant, far, never, never)


def _shifted(m: Module, how: Recipe, word, chosen, shape: Shape, name: str):
    """``chosen`` shifted as ``word`` says, all but the step; combinational."""
    shifted = Signal(shape, name=f"{name}_shifted")
    with m.Switch(_decide(m, how.shift, word, f"{name}_shift")):
        for index, shift in enumerate(how.shifts):
            with m.Case(index):
                m.d.comb += shifted.eq(chosen.shift_left(shift))
    return shifted


def _multiple_of(multiples: dict[int, Value], choice: int):
    low = (choice & -choice).bit_length() - 1
    return multiples[choice >> low].shift_left(low)


def first_product(m: Module, book: Codebook, value: Operand, taps: Interval, name: str):
    """The product, less one where negative, of the first lane of a chain, which has no adder; a cycle later."""
    shape = shape_of(product_interval(book, taps) | Interval(-1, 0))
    result = pipeline_signal(shape, name=name)
    if recipe(book).absorbed is Absorbed.STEP:
        m.d.sync += result.eq(Mux(value.far, value.distant, value.near))
    else:
        wide = Signal(shape, name=f"{name}_wide")
        m.d.comb += wide.eq(value.near)
        bits = (wide & value.plus.replicate(len(wide))) | (~wide & value.minus.replicate(len(wide)))
        m.d.sync += result.eq(bits.as_signed())
    return result


def accumulate(m: Module, platform, book: Codebook, total, value: Operand, shape: Shape, name: str):
    """``total`` plus the product of another lane, a cycle later."""
    if recipe(book).absorbed is Absorbed.STEP:
        result = mux_add(m, platform, f"{name}_sum", total, value.distant, value.near, value.far, shape)
    else:
        result = sign_add(m, platform, f"{name}_sum", total, value.near, value.plus, value.minus, shape)
    return _registered(m, result, name)
