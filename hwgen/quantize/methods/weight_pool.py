"""Weight pools: eight weights at a time, from one pool for the whole network (Li and Gupta 2022, arXiv 2201.11651).

The weights of eight neighbouring input channels, in units of their output channel, are one vector. K-means finds the
pool's vectors, whose entries are then levels of the codebook, so that today's engine runs the network with its ordinary
codes. Hardware of its own would store the number of a vector for eight weights (:func:`stored_bits`) and look up sums:
for bit plane ``j`` of eight activations, ``tables[p][bits]`` is the dot product of vector ``p`` with the bits, and
``acc += tables[p][bits] << j`` (:func:`bit_serial`), where leaving out low planes is precision chosen at run time.

The paper trains on with the vectors fixed. Without that a pool of 64, less than a bit per weight, ruins most networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatConv, FloatNetwork
from ..scales import CodedWeights, with_levels
from .deviation import default_clip, sigma_of
from .method import Method, option
from .plain import plain
from .problem import Coder, Problem
from .saturation import scales_at

__all__ = ["VECTOR", "WeightPool", "assigned", "bit_serial", "find_pool", "k_means", "stored_bits", "tables"]

Real = npt.NDArray[np.float64]
Integer = npt.NDArray[np.int64]

VECTOR = 8
"""Weights of a vector: neighbouring input channels at one position of the kernel."""

ROUNDS = 30
"""Rounds of k-means, at most."""

BATCH = 4096
"""Vectors that are compared with the pool at a time."""


@dataclass(frozen=True)
class WeightPool(Method):
    """See the module's text. size: vectors of the pool, 2 to 4096. seed: of the choice that k-means starts from."""

    name: ClassVar[str] = "pool"

    size: int = option(64, 2, 4096)
    seed: int = option(0, 0)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        convs = [layer for layer in network.layers if isinstance(layer, FloatConv)]
        first = {layer.name for layer in convs if layer.source in {source.name for source in network.inputs}}
        first |= {layer.name for layer in convs[:1]}
        pooled = [layer.weight for layer in convs if layer.name not in first and layer.weight.shape[3] % VECTOR == 0]
        pool = find_pool(pooled, codebook, self.size, self.seed) if pooled else None
        per_weight = (self.size - 1).bit_length() / VECTOR

        def code(problem: Problem) -> CodedWeights:
            coded = plain(problem)
            if problem.layer.name in first:
                note = "plainly rounded instead of from the pool, being the first"
            elif problem.weight.shape[3] % VECTOR:
                note = (
                    f"plainly rounded instead of from the pool, the inputs of an output being no multiple of {VECTOR}"
                )
            elif problem.codebook != codebook or pool is None:
                note = f"plainly rounded instead of from the pool, in codes other than {codebook.name}"
            else:
                levels, mul, shift = from_pool(problem, pool)
                note = (
                    f"weights are vectors of {VECTOR} out of a pool of {len(pool)} for the whole network; an engine "
                    f"that looks up their products would store {per_weight:g} bits per weight"
                )
                return with_levels(levels, codebook, problem.ratio, mul, shift, note)
            return replace(coded, note=note)

        return code


def find_pool(weights: list[Real], codebook: Codebook, size: int, seed: int) -> Integer:
    """At most ``size`` different vectors of levels (P, 8) for layers with ``weights`` (O, kh, kw, I / groups).

    Each output channel counts in units of the scale that suits its standard deviation, so that all can share the pool.
    Where eight weights are 0, a vector of zeros is one of the pool: what is pruned stays so.
    """
    units = [unit_of(weight, codebook)[:, None, None, None] for weight in weights]
    vectors = np.concatenate(
        [
            (weight / np.where(unit > 0, unit, 1.0)).reshape(-1, VECTOR)
            for weight, unit in zip(weights, units, strict=True)
        ]
    )
    alive = vectors.any(axis=1)
    if alive.all():
        centres = k_means(vectors, size, seed)
    else:
        centres = np.concatenate((np.zeros((1, VECTOR)), k_means(vectors[alive], size - 1, seed)))
    return np.unique(codebook.nearest(centres), axis=0)


def unit_of(weight: Real, codebook: Codebook) -> Real:
    """The scale (O,) that suits the output channels of ``weight`` if they are Gaussian; 0 for zeros."""
    return sigma_of(weight.reshape(len(weight), -1)) * default_clip(codebook) / codebook.max_level


def from_pool(problem: Problem, pool: Integer) -> tuple[Integer, Integer, int]:
    """``(levels, mul, shift)``: for every eight weights the vector of ``pool`` with the least error by importance."""
    book, weight = problem.codebook, problem.weight
    scale, mul, shift = scales_at(unit_of(weight, book) * book.max_level, book, problem.ratio)
    vectors = (weight / scale[:, None, None, None]).reshape(-1, VECTOR)
    numbers = assigned(vectors, pool, problem.importance.reshape(-1, VECTOR))
    return pool[numbers].reshape(weight.shape), mul, shift


def assigned(vectors: Real, pool: npt.NDArray[np.generic], importance: Real | None = None) -> Integer:
    """The number of the vector of ``pool`` (P, 8) nearest to each of ``vectors`` (N, 8); the lowest of equals.

    importance: (N, 8), of each squared difference; 1 by default.
    """
    centres = pool.astype(np.float64)
    numbers = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), BATCH):
        part = slice(start, start + BATCH)
        if importance is None:
            distance = np.square(centres).sum(axis=1) - 2 * vectors[part] @ centres.T
        else:
            share = importance[part]
            distance = share @ np.square(centres).T - 2 * (share * vectors[part]) @ centres.T
        numbers[part] = distance.argmin(axis=1)
    return numbers


def k_means(vectors: Real, size: int, seed: int) -> Real:
    """At most ``size`` centres (P, D) of ``vectors`` (N, D): Lloyd's rounds from seeded k-means++.

    An empty cluster moves to the vector that is farthest from its centre. All vectors are centres where they do.
    """
    distinct = np.unique(vectors, axis=0)
    if len(distinct) <= size:
        return distinct
    centres = _first_centres(vectors, size, seed)
    before = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        numbers = assigned(vectors, centres)
        empty = np.flatnonzero(np.bincount(numbers, minlength=size) == 0)
        if empty.size:
            _reseed(numbers, empty, vectors, centres)
        elif (numbers == before).all():
            break
        before = numbers
        counts = np.bincount(numbers, minlength=size)[:, None]
        sums = np.stack([np.bincount(numbers, column, minlength=size) for column in vectors.T], axis=1)
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    return centres


def _first_centres(vectors: Real, size: int, seed: int) -> Real:
    """k-means++ (Arthur and Vassilvitskii 2007): each centre by chance in proportion to its squared distance so far."""
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(vectors)))]
    distance = np.square(vectors - vectors[chosen[0]]).sum(axis=1)
    while len(chosen) < size:
        chosen.append(int(rng.choice(len(vectors), p=distance / distance.sum())))
        distance = np.minimum(distance, np.square(vectors - vectors[chosen[-1]]).sum(axis=1))
    return vectors[chosen]


def _reseed(numbers: Integer, empty: Integer, vectors: Real, centres: Real) -> None:
    """Give each of the ``empty`` clusters a vector of its own, in ``numbers``: those farthest from their centres."""
    distance = np.square(vectors - centres[numbers]).sum(axis=1)
    # Of equal vectors only one may start a cluster, or the next would be empty again.
    _, first = np.unique(vectors, axis=0, return_index=True)
    numbers[first[np.argsort(-distance[first], kind="stable")[: empty.size]]] = empty


def stored_bits(weights: int, size: int, bits: int) -> int:
    """Memory of ``weights`` weights as numbers of ``size`` vectors, and of these vectors in codes of ``bits`` bits.

    ``weights / 8 * ceil(log2(size)) + 8 * size * bits``.
    """
    return weights // VECTOR * (size - 1).bit_length() + VECTOR * size * bits


def tables(pool: Integer) -> Integer:
    """``T[p][bits]``, (P, 256): the sum of the entries ``c`` of vector ``p`` for which bit ``c`` of ``bits`` is set."""
    return pool @ (np.arange(1 << VECTOR) >> np.arange(VECTOR)[:, None] & 1)


def bit_serial(pool: Integer, numbers: Integer, activations: Integer, bits: int, planes: int) -> Integer:
    """Dot products (N,) of vectors ``numbers`` (N,) of ``pool`` with ``activations`` (N, 8) from 0 to ``2**bits - 1``.

    By tables and shifts alone, one bit plane at a time, the most significant first. planes: how many of them are read;
    fewer than ``bits`` is the dot product with the low bits of the activations cleared.
    """
    table = tables(pool)
    total = np.zeros(len(numbers), np.int64)
    for plane in range(bits - 1, bits - 1 - planes, -1):
        pattern = (activations >> plane & 1) @ (1 << np.arange(VECTOR))
        total += table[numbers, pattern] << plane
    return total
