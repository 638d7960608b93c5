"""How many bits the weights of a network take in each format, by formula: nothing is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.network import Conv, Network

from .ham import ham_bits
from .huffman import MAX_LENGTH, HuffmanCode, entropy
from .sham import sham_bits

__all__ = ["Format", "LayerStorage", "NetworkStorage", "layer_storage", "matrix", "network_storage"]


class Format(Enum):
    """How the codes of a layer are stored."""

    CODES = "codes"
    HAM = "ham"
    SHAM = "sham"


@dataclass(frozen=True)
class LayerStorage:
    """Bits of the weights of one layer.

    storage_bits: as plain codes; ham_bits, sham_bits: as streams with their dictionaries; entropy_bits: what no code of
    single weights goes below, without a dictionary; nonzero: weights other than zero; longest: bits of HAM's longest
    codeword, of which a decoder's table has two to the power entries.
    """

    name: str
    weights: int
    nonzero: int
    storage_bits: int
    ham_bits: int
    sham_bits: int
    entropy_bits: float
    longest: int

    @property
    def nonzero_share(self) -> float:
        """Share of the weights that are not zero, 0..1."""
        return self.nonzero / self.weights

    @property
    def bits(self) -> dict[Format, int]:
        """Bits in each format."""
        return {Format.CODES: self.storage_bits, Format.HAM: self.ham_bits, Format.SHAM: self.sham_bits}

    @property
    def best(self) -> Format:
        """The smallest format; of equal ones that which is simpler to read."""
        return min(self.bits, key=self.bits.__getitem__)

    def bits_per_weight(self, stored: Format) -> float:
        """Bits per weight, dictionary included."""
        return self.bits[stored] / self.weights

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON, with the shares."""
        return {
            "name": self.name,
            "weights": self.weights,
            "nonzero_share": self.nonzero_share,
            "storage_bits": self.storage_bits,
            "ham_bits": self.ham_bits,
            "sham_bits": self.sham_bits,
            "entropy_bits": self.entropy_bits,
            "bits_per_weight": {stored.value: self.bits_per_weight(stored) for stored in Format},
            "entropy_per_weight": self.entropy_bits / self.weights,
            "longest": self.longest,
            "best": self.best.value,
        }


@dataclass(frozen=True)
class NetworkStorage:
    """Bits of the weights of a network, layer by layer."""

    layers: tuple[LayerStorage, ...]

    @property
    def totals(self) -> dict[str, Any]:
        """``weights, storage_bits, ham_bits, sham_bits, entropy_bits, best_bits``: each layer in its best format."""
        names = ("weights", "storage_bits", "ham_bits", "sham_bits", "entropy_bits")
        sums = {name: sum(getattr(layer, name) for layer in self.layers) for name in names}
        return {**sums, "best_bits": sum(layer.bits[layer.best] for layer in self.layers)}

    def as_dict(self) -> dict[str, Any]:
        """Rows and totals for JSON."""
        return {"layers": [layer.as_dict() for layer in self.layers], "totals": self.totals}


def matrix(layer: Conv) -> npt.NDArray[np.uint8]:
    """The codes of ``layer`` as a matrix: (kh * kw * I / groups, O), a column for each output channel."""
    return layer.codes.reshape(layer.codes.shape[0], -1).T


def layer_storage(layer: Conv, max_length: int = MAX_LENGTH) -> LayerStorage:
    """The storage of ``layer`` with codewords of at most ``max_length`` bits."""
    codes = matrix(layer)
    book = layer.codebook
    counts = np.bincount(codes.ravel(), minlength=len(book.levels))
    return LayerStorage(
        name=layer.name,
        weights=codes.size,
        nonzero=codes.size - (0 if book.zero_free else int(counts[0])),
        storage_bits=codes.size * book.bits,
        ham_bits=ham_bits(counts, max_length),
        sham_bits=sham_bits(counts, book, codes.shape, max_length),
        entropy_bits=codes.size * entropy(counts),
        longest=HuffmanCode.of_counts(counts, max_length).longest,
    )


def network_storage(network: Network, max_length: int = MAX_LENGTH) -> NetworkStorage:
    """The storage of every Conv of ``network``. One dictionary per layer; Tables and requantization are not counted."""
    return NetworkStorage(
        tuple(layer_storage(layer, max_length) for layer in network.layers if isinstance(layer, Conv))
    )
