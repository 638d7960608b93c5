"""How much the model's decisions mind that each layer's weights are rounded, to first order."""

from __future__ import annotations

import numpy as np

from ..floatnet import FloatConv, FloatNetwork
from ..gradient import CrossEntropy
from ..lower.evaluate import evaluate_tensors
from ..quantize.frames import Frames, count, part, values_of
from ..quantize.precision import FRAMES, classifies
from ..quantize.sensitivity import weight_sensitivity

__all__ = ["gradient_l1"]


def gradient_l1(network: FloatNetwork, frames: Frames) -> dict[str, float | None]:
    """The most that rounding to the nearest power of two adds to a frame's loss, by convolution, in nats.

    ``1/3 * sum |w g|``, ``g`` the gradient of the mean cross-entropy: the power-of-two form of gradient L1 (Alizadeh et
    al. 2020, arXiv 2002.07520), see :mod:`hwgen.quantize.sensitivity`. No labels are needed, the classes are those that
    the network itself decides for; labels drawn from its outputs would have a mean gradient of zero. None where its
    first output, the one that counts, is not that of a classifier. frames: raw calibration data; some of them will do.
    """
    first = network.outputs[0]
    convs = [layer.name for layer in network.layers if isinstance(layer, FloatConv)]
    if not classifies(network, first):
        return dict.fromkeys(convs)
    chosen = values_of(part(frames, np.sort(np.random.default_rng(0).permutation(count(frames))[:FRAMES])))
    decided = evaluate_tensors(network, chosen, [first])[first].argmax(axis=3)
    found = weight_sensitivity(network, chosen, CrossEntropy({first: decided}))
    return {name: found[name].relative() for name in convs}
