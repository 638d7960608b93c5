"""What every component shares: the pixel payload, the beat between feeder and datapath, and a checked ``join``."""

from __future__ import annotations

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from ..interval import Interval

__all__ = ["beat_signature", "join", "lanes_of", "pipeline_signal", "pixel_stream", "shape_of"]


def shape_of(interval: Interval) -> Shape:
    """The narrowest Amaranth shape that holds every value of ``interval``."""
    return Shape(interval.bits, signed=interval.signed)


def pipeline_signal(shape, *, name: str) -> Signal:
    """A data register of a pipeline: no reset, because the valid bit beside it says whether it means anything.

    A reset on every data bit would be a net as large as the design and keep registers from sharing slices.
    """
    return Signal(shape, name=name, reset_less=True)


def lanes_of(interval: Interval, lanes: int) -> data.ArrayLayout:
    """A word of ``lanes`` neighbouring channels of one pixel, the lowest channel in the low bits."""
    return data.ArrayLayout(shape_of(interval), lanes)


def pixel_stream(interval: Interval, lanes: int) -> stream.Signature:
    """A ready/valid stream of channel-last pixels, one or more words of ``lanes`` channels each."""
    return stream.Signature(lanes_of(interval, lanes))


def beat_signature(interval: Interval, lanes: int) -> wiring.Signature:
    """One step of a reduction, on its way through a pipeline that never stalls.

    ``first`` starts an accumulation and ``last`` ends it; both may be set. There is no ready: whoever sends the last
    beat of a reduction has made sure before that its result finds a place (see ``queue.Queue``).
    """
    return wiring.Signature({"valid": Out(1), "first": Out(1), "last": Out(1), "data": Out(lanes_of(interval, lanes))})


def join(m: Module, producer, consumer) -> None:
    """Connect two streams after comparing their payload shapes, which ``wiring.connect`` does not.

    Raises ``TypeError`` when they differ in anything but the name.
    """
    a, b = producer.payload.shape(), consumer.payload.shape()
    layouts = isinstance(a, data.Layout) or isinstance(b, data.Layout)
    if not (a == b if layouts else Shape.cast(a) == Shape.cast(b)):
        raise TypeError(f"stream payload must be {b!r}, not {a!r}")
    wiring.connect(m, producer, consumer)
