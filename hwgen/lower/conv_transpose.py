"""ConvTranspose as phases: a convolution makes s*s neighbouring pixels as channels, and a view unfolds them.

With stride ``s`` and pads ``p``, output row ``y`` has the phase ``q = (y + p) % s`` and sums, over the kernel rows
``k`` with ``(k * d - q) % s == 0``, the input rows ``(y + p) // s - (k * d - q) / s`` (d: dilation). So each phase is
an ordinary convolution, and no multiplication by an inserted zero is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..floatnet import FloatConv, Layout
from ..importers.graph import MAX_ELEMENTS
from .builder import Builder
from .coded import recoded
from .conv import convolution, read_bias, read_codes, read_weight
from .reader import Reader
from .value import Value
from .window import same_pads

__all__ = ["OPERATORS", "read_conv_transpose"]


@dataclass(frozen=True)
class _Axis:
    """One axis: taps[q] are pairs (kernel position, position in the phase convolution's kernel).

    before, behind: padding of the phase convolution. first: the output begins at ``first`` of its unfolded result.
    """

    stride: int
    taps: tuple[tuple[tuple[int, int], ...], ...]
    kernel: int
    before: int
    behind: int
    first: int
    output: int


def _axis(size: int, kernel: int, stride: int, dilation: int, pad: int, output: int) -> _Axis:
    reach = [
        [(k, (k * dilation - q) // stride) for k in range(kernel) if (k * dilation - q) % stride == 0]
        for q in range(stride)
    ]
    farthest = max(m for phase in reach for _, m in phase)
    taps = tuple(tuple((k, farthest - m) for k, m in phase) for phase in reach)
    begin, end = pad // stride, (pad + output - 1) // stride  # the blocks of s outputs that are needed
    before = max(farthest - begin, 0)
    skipped = begin - (farthest - before)
    return _Axis(stride, taps, farthest + 1, before, max(end + 1 - size, 0), skipped * stride + pad % stride, output)


def read_conv_transpose(builder: Builder, reader: Reader) -> Value:
    """ConvTranspose with constant weights (I, O / groups, kh, kw), any stride, padding, dilation and groups."""
    value, size = reader.image()
    rank, channels = len(size), value.shape[1]
    weight, groups = read_weight(reader, channels, rank)
    if weight.shape[0] != channels:
        raise reader.error(f"its weight of shape {weight.shape} does not fit {channels} input channels; export again")
    each = weight.shape[1]
    outputs = each * groups
    bias = read_bias(reader, outputs)
    rows, columns = _axes(reader, size, weight.shape[2:])
    s = rows.stride * columns.stride
    inputs = channels // groups

    def phased(weight: np.ndarray) -> np.ndarray:
        phases = np.zeros((groups, s, each, rows.kernel, columns.kernel, inputs), weight.dtype)
        grouped = weight.reshape(groups, inputs, each, *weight.shape[2:])
        for y, row_taps in enumerate(rows.taps):
            for x, column_taps in enumerate(columns.taps):
                for ky, own_y in row_taps:
                    for kx, own_x in column_taps:
                        phase = y * columns.stride + x
                        phases[:, phase, :, own_y, own_x] = grouped[..., ky, kx].transpose(0, 2, 1)
        return phases.reshape(-1, *phases.shape[3:])

    phases, levels = phased(weight), read_codes(reader, rank)
    source = builder.source(reader.node, value, Layout.CHANNEL_FIRST)
    layer = FloatConv(
        "",
        "",
        phases,
        np.broadcast_to(bias.reshape(groups, 1, each), (groups, s, each)).reshape(-1),
        (0, 0, 0),
        np.zeros(channels),
        pads=(rows.before, columns.before, rows.behind, columns.behind),
        groups=groups,
        coded=recoded(None if levels is None else phased(levels), phases),
    )
    base = convolution(builder, reader.node, source, layer)
    assert base.shape is not None
    height, width, _ = base.shape
    view = np.arange(height * width * outputs * s, dtype=np.int32)
    view = view.reshape(height, width, groups, rows.stride, columns.stride, each).transpose(2, 5, 0, 3, 1, 4)
    view = view.reshape(outputs, height * rows.stride, width * columns.stride)
    view = view[:, rows.first : rows.first + rows.output, columns.first : columns.first + columns.output]
    shape = (1, outputs, *((rows.output, columns.output) if rank == 2 else (columns.output,)))
    return Value(base, view.reshape(shape), node=reader.node)


def _axes(reader: Reader, size: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[_Axis, _Axis]:
    rank = len(size)
    kernel = kernel[2 - rank :]
    stride = reader.integers("strides", (1,) * rank, rank)
    dilation = reader.integers("dilations", (1,) * rank, rank)
    more = reader.integers("output_padding", (0,) * rank, rank)
    if min((*stride, *dilation)) < 1 or min(more) < 0:
        raise reader.error("its strides and dilations must be at least 1, its output_padding 0; export again")
    full = [
        s * (n - 1) + m + d * (k - 1) + 1 for s, n, m, d, k in zip(stride, size, more, dilation, kernel, strict=True)
    ]
    given = reader.integers("pads", (0,) * (2 * rank), 2 * rank)
    mode = reader.text("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise reader.error(f"auto_pad={mode} is not known; use NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if "output_shape" in reader.node.attributes or mode.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
        wanted = list(reader.integers("output_shape", wanted, rank))
        totals = [f - w for f, w in zip(full, wanted, strict=True)]
        # ONNX puts the odd pixel at the end for SAME_UPPER only.
        begins = [same_pads(total, upper=mode == "SAME_UPPER")[0] for total in totals]
    else:
        pads = (0,) * (2 * rank) if mode == "VALID" else given
        if min(pads) < 0:
            raise reader.error(f"negative pads {pads} are not supported; export again")
        begins = list(pads[:rank])
        wanted = [f - pads[axis] - pads[axis + rank] for axis, f in enumerate(full)]
    if min(wanted) < 1 or reader.value(0).shape[1] * np.prod(np.maximum(full, wanted), dtype=np.float64) > MAX_ELEMENTS:
        raise reader.error(f"its output of {wanted} is empty or too large; export again")
    found = [_axis(*part) for part in zip(size, kernel, stride, dilation, begins, wanted, strict=True)]
    return (found[0], found[1]) if rank == 2 else (_axis(1, 1, 1, 1, 0, 1), found[0])


OPERATORS = {"ConvTranspose": read_conv_transpose}
