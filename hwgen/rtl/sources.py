"""What engines that read several tensors have in common: an input stream for each."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..network import Add, Concat, Tensor
from ..sizing.streaming import validate_lanes
from .stream import pixel_stream

__all__ = ["ManySources"]


class ManySources(wiring.Component):
    """The ports of an engine for ``layer``, which reads ``sources`` in words of ``lanes`` channels.

    Members
    -------
    i0, i1, ... : In(pixel stream of ``lanes`` lanes), one per source; ``inputs`` lists them
    o : Out(pixel stream of ``lanes`` lanes)
    """

    def __init__(self, layer: Add | Concat, sources: Sequence[Tensor], lanes: int):
        validate_lanes(layer, lanes)
        self._layer = layer
        self._intervals = [source.interval for source in sources]
        self._lanes = lanes
        super().__init__(
            {f"i{number}": In(pixel_stream(interval, lanes)) for number, interval in enumerate(self._intervals)}
            | {"o": Out(pixel_stream(layer.output.interval, lanes))}
        )
        self.inputs = [getattr(self, f"i{number}") for number in range(len(sources))]
