"""Source coding of weights: how many bits the codes of a network really hold, and streams that need little more.

Two formats of Marino, Petrini, Malchiodi and Frasca, "Compact representations of convolutional neural networks via
weight pruning and quantization" (2021): :class:`Ham` Huffman-codes every weight, :class:`Sham` only those that are not
zero. :func:`network_storage` compares them with the plain codes and with the entropy, layer by layer.

The accelerator runs from plain codes today; nothing here changes a network. A dedicated decoder in hardware would add,
for codewords of at most 8 bits, a 256-entry table of (code, length), half an iCE40 block RAM for 4-bit codes, and a
window of the stream that is shifted by the length: one code per cycle. A PE array takes ``PE * SIMD`` codes per cycle,
so one decoder suffices to fill the weight memory once after reset, which saves flash but no block RAM; saving block RAM
takes a stream and a decoder per lane.
"""

from .ham import Ham, ham_bits
from .huffman import HuffmanCode, entropy
from .sham import Sham, sham_bits
from .sizes import Format, LayerStorage, NetworkStorage, layer_storage, network_storage

__all__ = [
    "Format",
    "Ham",
    "HuffmanCode",
    "LayerStorage",
    "NetworkStorage",
    "Sham",
    "entropy",
    "ham_bits",
    "layer_storage",
    "network_storage",
    "sham_bits",
]
