"""MaxPool, AveragePool and their global forms."""

from __future__ import annotations

from ..floatnet import PoolKind
from .reader import Reader
from .steps import PoolStep
from .window import read_window

__all__ = ["OPERATORS", "read_average_pool", "read_global_average_pool", "read_global_max_pool", "read_max_pool"]


def _read_pool(reader: Reader, kind: PoolKind) -> PoolStep:
    _, height, width = reader.image_shape
    kernel_y, kernel_x = reader.integers("kernel_shape", None, 2)
    kernel = (kernel_y, kernel_x)
    stride, pads = read_window(reader, kernel)
    if max(pads[0], pads[2]) >= kernel_y or max(pads[1], pads[3]) >= kernel_x:
        raise reader.error(f"pads {pads} must be smaller than the kernel {kernel}; export the model again")
    rest = (
        (height + pads[0] + pads[2] - kernel_y) % stride[0],
        (width + pads[1] + pads[3] - kernel_x) % stride[1],
    )
    if any(rest):
        # Otherwise both modes make the same outputs and the attribute means nothing.
        reader.only("ceil_mode", reader.integer("ceil_mode", 0), 0)
    return PoolStep(reader.node, kind, kernel, stride, pads)


def read_max_pool(reader: Reader) -> PoolStep:
    """MaxPool; padding never wins."""
    return _read_pool(reader, PoolKind.MAX)


def read_average_pool(reader: Reader) -> PoolStep:
    """AveragePool; padding must count as zero (``count_include_pad=1``) where there is any."""
    step = _read_pool(reader, PoolKind.AVERAGE)
    if any(step.pads):
        # Without it the divisor differs at the border, which one requantization factor cannot express.
        reader.only("count_include_pad", reader.integer("count_include_pad", 0), 1)
    return step


def _read_global(reader: Reader, kind: PoolKind) -> PoolStep:
    _, height, width = reader.image_shape
    return PoolStep(reader.node, kind, (height, width), (1, 1), (0, 0, 0, 0))


def read_global_max_pool(reader: Reader) -> PoolStep:
    """GlobalMaxPool: one window over the whole map."""
    return _read_global(reader, PoolKind.MAX)


def read_global_average_pool(reader: Reader) -> PoolStep:
    """GlobalAveragePool: one window over the whole map."""
    return _read_global(reader, PoolKind.AVERAGE)


OPERATORS = {
    "AveragePool": read_average_pool,
    "GlobalAveragePool": read_global_average_pool,
    "GlobalMaxPool": read_global_max_pool,
    "MaxPool": read_max_pool,
}
