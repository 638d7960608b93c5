"""Shrinking, on bugs planted into a copy of the reference."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hwgen.network import Add, Concat, Conv, Network, Pool, Remap
from hwgen.reference import run

from .grow import random_recipe
from .recipe import build, data, foldings
from .shrink import shrink


def wide_kernel(layer):
    """Forgets the lowest row of kernels of three rows and more."""
    if isinstance(layer, Conv) and layer.kernel[0] >= 3:
        codes = layer.codes.copy()
        codes[:, -1] = 0
        return replace(layer, codes=codes)
    return layer


def second_addend(layer):
    """Takes the wrong sign for a subtracted tensor."""
    return replace(layer, mul=tuple(abs(mul) for mul in layer.mul)) if isinstance(layer, Add) else layer


def average(layer):
    """Never rounds an average."""
    if isinstance(layer, Pool) and layer.requant is not None:
        half = 1 << layer.requant.shift >> 1
        return replace(layer, requant=replace(layer.requant, add=layer.requant.add - half))
    return layer


def rescaled(layer):
    """Drops the bias of rescaled parts."""
    if isinstance(layer, Concat):
        parts = tuple(part and replace(part, add=0) for part in layer.rescale)
        return replace(layer, rescale=parts)
    return layer


def fill(layer):
    """Fills with the highest value where nothing is."""
    return replace(layer, fill=layer.output.interval.hi) if isinstance(layer, Remap) else layer


def differs(bug, recipe) -> bool:
    network = build(recipe)
    wrong = Network(network.name, network.inputs, tuple(map(bug, network.layers)), network.outputs)
    x = data(recipe, network)
    right, seen = run(network, x, every=True), run(wrong, x, every=True)
    return any((right[name] != seen[name]).any() for name in right)


@pytest.mark.parametrize("bug", [wide_kernel, second_addend, average, rescaled, fill], ids=lambda bug: bug.__name__)
def test_a_planted_bug_shrinks_to_its_layer(bug):
    seeds = [seed for seed in range(60) if differs(bug, random_recipe(seed))][:4]
    assert len(seeds) >= 3, "the generator must reach every bug often"
    for seed in seeds:
        small = shrink(random_recipe(seed), lambda recipe: differs(bug, recipe))
        assert differs(bug, small)
        network = build(small)
        assert len(network.layers) <= 2
        assert bug(network.layers[-1]) is not network.layers[-1], "the last layer is the broken one"
        assert small["frames"] <= 2, "values are drawn anew in a smaller network, and one frame may miss the bug"
        assert sum(np.prod(tensor.shape) for tensor in network.inputs) <= 16


def test_the_same_recipe_is_the_same_network():
    recipe = random_recipe(5)
    again = json.loads(json.dumps(recipe))
    first, second = build(recipe), build(again)
    assert (run(first, data(recipe, first)) == run(second, data(again, second))).all()
    assert foldings(recipe, first) == foldings(again, second)


def test_a_layer_that_is_taken_out_leaves_the_others_as_they_were():
    recipe = random_recipe(0)
    first = build(recipe).layers[0]
    alone = build(recipe | {"layers": recipe["layers"][:1], "outputs": [first.name]}).layers[0]
    assert (first.codes == alone.codes).all()
    assert (first.requant.add == alone.requant.add).all()


def test_what_cannot_be_built_is_never_asked_about():
    recipe = random_recipe(2)
    asked = []
    small = shrink(recipe, lambda candidate: asked.append(build(candidate)) or False)
    assert small == recipe
    assert asked
