"""A float network and calibration data to an integer network.

1. The float network is rewritten as the method wants it.
2. Every tensor gets its bits and one scale, the one with the least squared error on the calibration data; every layer
   with weights gets its code. Under a budget both differ from layer to layer.
3. Layer by layer, each on what the quantized layers before really put out: every channel's weights get a scale on the
   exact grid and each weight a level, by the method; every bias is corrected.

What the model prescribes itself, codes of weights and formats of tensors, is taken instead where the grid allows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from ..codes import Codebook, text_of
from ..errors import HwgenError
from ..floatnet import (
    FloatAdd,
    FloatConcat,
    FloatConv,
    FloatInput,
    FloatLayer,
    FloatNetwork,
    FloatPool,
    FloatRemap,
    FloatTable,
)
from ..network import Layer, Network, Rewriting, Tensor
from ..reference.network import input_integers, layer_function
from ..tools import WorkDone
from .activations import collect, input_range
from .add import quantize_add
from .bias import correct_bias
from .clips import readers
from .coded import DEFAULT, OWN
from .concat import quantize_concat
from .conv import quantize_conv
from .formats import DEFAULT_ACT_SCALE, Format, plan_formats, scale_of
from .frames import Frames, checked_frames, count, every_output, frames_per_batch, part
from .methods import DEFAULT_METHOD, Coder, Recipe, method_of
from .notes import listed, remarks
from .pool import quantize_pool
from .precision import CodeBudget, choose_bits
from .prepare import prepared
from .remap import quantize_remap
from .table import quantize_table
from .wishes import bit_widths, book_of_code, codebooks, without_codes

__all__ = ["quantize"]

CORRECTION_FRAMES = 1000
"""Calibration frames that weights and biases are fitted to, at most."""

CORRECTION_VALUES = 1 << 27
"""Activations of those frames that are kept at a time, about, 4 bytes each; fewer frames where a frame has many."""


def quantize(
    network: FloatNetwork,
    x: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    code: str | Codebook = DEFAULT,
    act_bits: int = 8,
    method: str | Recipe = DEFAULT_METHOD,
    act_scale: str = DEFAULT_ACT_SCALE,
    layer_codes: Mapping[str, str | Codebook] | None = None,
    layer_bits: Mapping[str, int] | None = None,
    codes: CodeBudget | None = None,
    mean_act_bits: float | None = None,
    progress: WorkDone | None = None,
) -> Network:
    """Quantize ``network`` to weights in ``code`` and activations of ``act_bits`` (2..8) bits.

    Weights that the model holds as codes of no more bits than ``code`` are kept as they are, and with ``code`` "own"
    those of up to 8 bits.

    method: how weights become codes, the text of ``--method`` (:mod:`hwgen.quantize.methods`). act_scale: what the
    scale of an activation makes least, "mse", the squared error, or "kl", the divergence of its distribution.
    layer_codes, layer_bits: codes of weights and bits of outputs of single layers, by name, where they differ from
    ``code`` and ``act_bits``; such a layer does not keep codes that the model holds. codes: several codes and a budget,
    out of which each other layer gets its own instead of ``code``. mean_act_bits: each other layer gets 4, 6 or 8 bits
    instead of ``act_bits``, as many on average (:mod:`hwgen.quantize.precision`).

    x: calibration data (N, H, W, C), raw values, any numeric dtype, a dict of such by name where there are several
    inputs; a few hundred typical samples. The result does not depend on anything else: on one machine the same
    arguments give the same network, bit for bit (another processor may sum floats in another order).

    Raises :class:`HwgenError` for data, a code, a method, a bit width or a wish for a layer that cannot be used, for a
    budget that is too small, and for a layer whose accumulator would get too wide.
    """
    own = code == OWN
    if own and not any(isinstance(layer, FloatConv) and layer.coded is not None for layer in network.layers):
        raise HwgenError(f"the model holds no weights as codes of its own; choose a code, such as {DEFAULT}")
    book = book_of_code(DEFAULT if own else code)
    recipe = method_of(method)
    if codes is not None and not recipe.keeps_code:
        raise HwgenError(
            f"method {recipe.text!r} makes codes of its own, which no budget can price; choose another method"
        )
    data = checked_frames(network, x)
    samples = count(data)
    report = progress or (lambda done, total, text: None)

    used = readers(network)
    for source in network.inputs:
        if not used[source.name]:
            raise HwgenError(f"input {source.name!r} is used by no layer; remove it from the model")
    inputs = {
        source.name: Tensor(source.name, source.shape, *input_range(source, data[source.name]))
        for source in network.inputs
    }
    rewriting = Rewriting(recipe.rewriting, OWN if own else text_of(book)) if recipe.rewriting else None
    network = prepared(network, inputs, book, own=own, recipe=recipe)
    network = without_codes(network, layer_codes or {})
    total = samples + len(network.layers)
    calibrated = collect(network, data, lambda done: report(done, total, "calibrating"))
    if codes is not None or mean_act_bits is not None:
        report(samples, total, "choosing a precision for each layer")
    books = codebooks(network, data, layer_codes or {}, codes)
    find = scale_of(act_scale)
    bits = dict.fromkeys((layer.name for layer in network.layers), act_bits)
    bits |= {} if mean_act_bits is None else choose_bits(network, data, calibrated, mean_act_bits, find=find)
    bits |= bit_widths(network, layer_bits or {})
    for each in bits.values():
        if not 2 <= each <= 8:
            raise HwgenError(f"activation bits must be 2 to 8, not {each}")
    formats = plan_formats(network, inputs, calibrated, bits, find)
    frames = min(samples, CORRECTION_FRAMES, max(1, CORRECTION_VALUES // _peak_values(network)))
    chosen = np.sort(np.random.default_rng(0).permutation(samples)[:frames])
    layers: list[Layer] = []
    walk = _Walk(network, inputs, part(data, chosen), recipe.coder(network, book))
    for model in network.layers:
        report(samples + len(layers), total, f"quantizing {model.name}")
        layers.append(walk.quantized(model, formats[model.name], books.get(model.name, book)))
    report(total, total, "quantized")
    tensors = list(zip(network.inputs, inputs.values(), strict=True))
    notes = [*remarks(list(zip(network.layers, layers, strict=True)), tensors), *walk.remarks()]
    return Network(
        network.name,
        tuple(inputs.values()),
        tuple(layers),
        network.outputs,
        (*network.notes, *notes),
        network.normalization,
        tuple(source.layout for source in network.inputs),
        rewriting,
    )


class _Walk:
    """Layer by layer through the network, with the integers and the float values of ``frames`` beside each other.

    A tensor's values go when its last reader is done.
    """

    def __init__(self, network: FloatNetwork, inputs: Mapping[str, Tensor], frames: Frames, coder: Coder) -> None:
        self._tensors = dict(inputs)
        self._integers = {name: input_integers(tensor, frames[name]) for name, tensor in inputs.items()}
        self._reals = {name: values.astype(np.float32) for name, values in frames.items()}
        self._unread = Counter(name for layer in network.layers for name in layer.sources)
        self._batch = frames_per_batch(network)
        self._coder = coder
        self._notes: dict[str, list[str]] = {}
        self._gains: dict[str, list[float]] = {}

    def quantized(self, model: FloatLayer, target: Format, book: Codebook) -> Layer:
        sources = [self._tensors[name] for name in model.sources]
        integers = [self._integers[name] for name in model.sources]
        real = self._float_output(model)
        layer: Layer
        if isinstance(model, FloatConv):
            reals = self._reals[model.source]
            conv, coded = quantize_conv(model, sources[0], book, target, integers[0], reals, self._coder)
            layer, output = correct_bias(conv, model, sources[0], integers[0], reals, real, self._batch)
            if coded.note:
                self._notes.setdefault(coded.note, []).append(model.name)
            if coded.gain_db is not None:
                self._gains.setdefault(coded.note, []).append(coded.gain_db)
        else:
            layer = _layer(model, sources, target)
            output = self._run(layer, sources, integers)
        self._tensors[model.name] = layer.output
        self._integers[model.name], self._reals[model.name] = output, real
        self._unread.subtract(model.sources)
        for name in {*model.sources, model.name}:
            if self._unread[name] == 0:
                self._integers.pop(name, None)
                self._reals.pop(name, None)
        return layer

    def remarks(self) -> tuple[str, ...]:
        """What the coder had to say, each thing once, with the layers that it is about."""
        gains = {note: (min(values), max(values)) for note, values in self._gains.items()}
        than = {
            note: f", {low:.1f} to {high:.1f} dB less noise than plain rounding" for note, (low, high) in gains.items()
        }
        return listed({note + than.get(note, ""): names for note, names in self._notes.items()})

    def _float_output(self, model: FloatLayer) -> npt.NDArray[np.float32]:
        """The float layer's output, computed as a network of this one layer."""
        names = tuple(dict.fromkeys(model.sources))
        inputs = tuple(FloatInput(name, self._tensors[name].shape) for name in names)
        alone = FloatNetwork(model.name, inputs, (model,), (model.name,))
        return every_output(alone, {name: self._reals[name] for name in names})[model.name]

    def _run(
        self, layer: Layer, sources: Sequence[Tensor], integers: Sequence[npt.NDArray[np.int32]]
    ) -> npt.NDArray[np.int32]:
        function = layer_function(layer, [tensor.interval for tensor in sources])
        starts = range(0, len(integers[0]), self._batch)
        return np.concatenate([function(*(x[start : start + self._batch] for x in integers)) for start in starts])


def _layer(model: FloatLayer, sources: Sequence[Tensor], target: Format) -> Layer:
    """Any layer without weights."""
    match model:
        case FloatPool():
            return quantize_pool(model, sources[0], target)
        case FloatAdd():
            return quantize_add(model, sources, target)
        case FloatConcat():
            return quantize_concat(model, sources, target)
        case FloatTable():
            return quantize_table(model, sources[0], target)
        case FloatRemap():
            return quantize_remap(model, sources[0])
        case FloatConv():
            raise TypeError(f"{model.name} has weights")


def _peak_values(network: FloatNetwork) -> int:
    """The most activations of one frame that are needed at a time, of integers and floats together."""
    sizes = {tensor.name: 2 * prod(tensor.output_shape) for tensor in (*network.inputs, *network.layers)}
    unread = Counter(name for layer in network.layers for name in layer.sources)
    held = peak = sum(sizes[source.name] for source in network.inputs)
    for layer in network.layers:
        held += sizes[layer.name]
        peak = max(peak, held)
        unread.subtract(layer.sources)
        held -= sum(sizes[name] for name in {*layer.sources, layer.name} if unread[name] == 0)
    return peak
