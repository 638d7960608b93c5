from dataclasses import replace
from math import inf

import numpy as np
import pytest

from hwgen.expression import Apply, Operation, Variable
from hwgen.floatnet import Coded, Fixed, FloatConcat, FloatInput, FloatNetwork, FloatPool, FloatTable, PoolKind
from hwgen.interval import Interval
from hwgen.network import Tensor
from hwgen.quantize.activations import Samples, collect
from hwgen.quantize.formats import Format, plan_formats, wide_tensors

from .conftest import random_conv

SHAPE = (4, 4, 3)
BYTE, SIGNED, WIDE = Interval(0, 255), Interval(-128, 127), Interval(-32768, 32767)
INPUT = {"x": Tensor("x", SHAPE, BYTE, 0.01)}


def conv(name, source, channels=3, **rest):
    return random_conv(np.random.default_rng(len(name)), name, source, (4, 4, channels), 3, (1, 1), **rest)


def concat(name, sources, **rest):
    return FloatConcat(name, sources, ((4, 4, 3),) * len(sources), **rest)


def network(*layers, outputs=None):
    """``layers``, and a convolution at the end so that the last of them is no output."""
    last = layers[-1]
    end = random_conv(np.random.default_rng(0), "end", last.name, last.output_shape, 2, (1, 1))
    return FloatNetwork("net", (FloatInput("x", SHAPE),), (*layers, end), outputs or ("end",))


def planned(model, bits=8, samples=None):
    x = np.random.default_rng(0).uniform(0, 2.5, (50, *SHAPE))
    every = dict.fromkeys((layer.name for layer in model.layers), bits)
    return plan_formats(model, INPUT, {**collect(model, {"x": x}), **(samples or {})}, every)


RELU = {"clip": (0.0, inf)}


def test_layers_that_only_a_concatenation_reads_take_its_format():
    model = network(conv("a", "x", **RELU), conv("bb", "x"), concat("merged", ("a", "bb")))
    found = planned(model)
    assert found["merged"].interval == SIGNED
    assert found["bb"] == found["merged"]
    assert found["a"] == Format(Interval(0, 127), found["merged"].scale)


def test_also_through_layers_that_only_move_values_and_inner_concatenations():
    inner = concat("inner", ("a", "bb"))
    pool = FloatPool("pool", "inner", PoolKind.MAX, (1, 1), inner.output_shape)
    outer = FloatConcat("outer", ("pool", "ccc"), (inner.output_shape, SHAPE))
    model = network(conv("a", "x"), conv("bb", "x"), inner, pool, conv("ccc", "x"), outer)
    found = planned(model)
    assert {found[name] for name in ("a", "bb", "inner", "pool", "ccc", "outer")} == {found["outer"]}


@pytest.mark.parametrize(
    "change",
    [
        {"fixed": Fixed(0.1, SIGNED)},
        {"coded": Coded(np.ones((3, 1, 1, 3), np.int64), np.ones(3))},
    ],
)
def test_a_layer_with_a_format_of_its_own_keeps_it(change):
    model = network(replace(conv("a", "x"), **change), conv("bb", "x"), concat("merged", ("a", "bb")))
    alone = planned(network(replace(conv("a", "x"), **change)))["a"]
    assert planned(model)["a"] == alone


def test_a_layer_that_others_read_keeps_its_format():
    model = network(conv("a", "x"), conv("bb", "a"), concat("merged", ("a", "bb")))
    alone = planned(network(conv("a", "x")))["a"]
    assert planned(model)["a"] == alone


@pytest.mark.parametrize(("gain", "shared"), [(1.0, True), (1.05, True), (3.0, False)])
def test_the_scale_of_a_source_is_taken_over_where_it_costs_little(gain, shared):
    model = network(conv("a", "x"), conv("bb", "a"), concat("merged", ("a", "bb")))
    values = np.random.default_rng(0).normal(0, 1, 20000)
    a, merged = (Samples(v, float(v.min()), float(v.max())) for v in (values, gain * values))
    found = planned(model, samples={"a": a, "merged": merged})
    assert (found["merged"].scale == found["a"].scale) == shared
    assert found["bb"].scale == found["merged"].scale


def test_signs_of_sums_pools_concatenations_and_tables():
    silu = Apply(Operation.MUL, (Variable(), Apply(Operation.SIGMOID, (Variable(),))))
    square = Apply(Operation.MUL, (Variable(), Variable()))
    found = planned(
        network(
            conv("a", "x"),
            FloatPool("average", "a", PoolKind.AVERAGE, (1, 1), SHAPE),
            FloatTable("silu", "average", SHAPE, silu),
            FloatTable("square", "silu", SHAPE, square),
            FloatTable("again", "square", SHAPE, silu),
            FloatPool("positive", "again", PoolKind.AVERAGE, (1, 1), SHAPE),
            conv("bb", "positive", **RELU),
            concat("merged", ("positive", "bb")),
        )
    )
    signed = {name: found[name].interval.signed for name in found}
    assert [name for name, value in signed.items() if value] == ["a", "average", "silu", "end"]


def test_formats_of_the_model_are_wanted_and_clipped():
    fixed = Fixed(0.5, Interval(-8, 7))
    found = planned(network(conv("a", "x", clip=(0.0, 2.0), fixed=fixed)))
    assert found["a"] == Format(Interval(0, 4), 0.5)


def test_what_leaves_the_network_is_wide_unless_arithmetic_reads_it():
    pool = FloatPool("pool", "a", PoolKind.MAX, (1, 1), SHAPE)
    joined = FloatConcat("joined", ("pool", "bb"), (SHAPE, SHAPE))
    model = FloatNetwork(
        "net", (FloatInput("x", SHAPE),), (conv("a", "x"), pool, conv("bb", "x"), joined), ("joined", "a")
    )
    assert wide_tensors(model) == {"a", "pool", "bb", "joined"}
    found = planned(model)
    assert {found[name].interval for name in ("a", "pool", "bb", "joined")} == {WIDE}
    assert wide_tensors(network(conv("a", "x"), outputs=("a", "end"))) == {"end"}
