"""A generated core behind the board's serial port: what a host really gets, bit by bit, against the reference."""

import numpy as np

from hwgen.floatnet import PoolKind
from hwgen.folding import Folding
from hwgen.reference import run
from hwgen.rtl.top import Core

from ..networks import SIGNED, conv, frames, pool, tensor
from ..networks import network as chain
from .test_top import Host


def test_the_network_answers_over_the_line():
    """Convolution, pooling and a dense layer; three frames, one of them cut short, which is not answered."""
    rng = np.random.default_rng(5)
    source = tensor((6, 6, 2))
    first = conv(rng, source, 4, (3, 3), pads=(1, 1, 1, 1), name="conv")
    second = pool(rng, first.output, PoolKind.MAX, (2, 2), (2, 2), name="pool")
    third = conv(rng, second.output, 3, (3, 3), output=SIGNED, name="dense")
    net = chain(first, second, third, source=source)
    foldings = [Folding.of(first, 2, 2), Folding(2, 2, 2), Folding.of(third, 1, 2)]
    core = Core(net, foldings)
    x = frames(rng, source, 3)
    expected = run(net, x).reshape(3, -1).tolist()
    host = Host(core)

    async def program(ctx):
        good, cut, other = (frame.astype(np.uint8).tobytes() for frame in x)
        await host.send(ctx, good)
        assert await host.expect(ctx, 3) == expected[0]
        await host.send(ctx, cut[:-1])
        await host.pause(ctx)
        await host.silent(ctx)
        await host.send(ctx, other)
        assert await host.expect(ctx, 3) == expected[2]

    host.run(program)
