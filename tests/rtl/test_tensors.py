"""Sums of tensors, and nested codes, run on the engine as they stand: it equals the reference and the passes."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.plan import Folding
from hwgen.quantize.layering import Nested
from hwgen.quantize.tensors import Sums
from hwgen.reference.conv import ConvKernel

from ..networks import SIGNED, conv, frames, tensor
from .drive import assert_exact

BOOKS = {
    "dual e2m1": Sums(CODES["e2m1"], (3, 0)).codebook,
    "triple pot3": Sums(CODES["pot3"], (5, 3, 0)).codebook,
    "nested e2m1": Nested(CODES["e2m1"], 2, 3, 2).codebook,
    "one term of a nested e2m1": Nested(CODES["e2m1"], 2, 3, 1).codebook,
}


def layer_with(book):
    """A small padded layer whose codes are random ones of ``book``."""
    source = tensor((4, 3, 2), SIGNED)
    rng = np.random.default_rng(0)
    layer = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), book="pot5", output=SIGNED)
    levels = rng.choice(book.sorted_levels, layer.codes.shape)
    return replace(layer, codes=book.encode(levels), codebook=book), source


@pytest.mark.parametrize("name", BOOKS)
def test_the_engine_runs_them(name):
    layer, source = layer_with(BOOKS[name])
    x = frames(np.random.default_rng(1), source, 2)
    assert_exact(layer, source, Folding(2, 2, 1), x, stall_in=0.3, stall_out=0.4, seed=5)


def test_two_passes_make_the_same_sums():
    """The accumulators of a layer of each tensor, shifted and added, are those of the one layer."""
    sums = Sums(CODES["e2m1"], (3, 0))
    layer, source = layer_with(sums.codebook)
    x = frames(np.random.default_rng(1), source, 2)
    passes = [replace(layer, codes=codes, codebook=CODES["e2m1"]) for codes in sums.tensor_codes(layer.codes)]
    accumulators = [ConvKernel(each, source.interval).accumulate(x) for each in passes]
    total = sum(acc.astype(np.int64) << shift for acc, shift in zip(accumulators, sums.shifts, strict=True))
    assert (total == ConvKernel(layer, source.interval).accumulate(x)).all()
