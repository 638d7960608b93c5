"""A generated core behind the board's serial port: what a host really gets, bit by bit, against the reference."""

import numpy as np
import pytest

from hwgen.floatnet import PoolKind
from hwgen.reference import run
from hwgen.rtl.top import Core
from hwgen.sizing.folding import Folding

from ..graphs import two_ends
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


@pytest.mark.parametrize("lanes", [[1, 1, 1], [2, 3, 4]], ids=str)
def test_two_inputs_and_three_outputs_take_turns_on_the_line(lanes):
    """Input by input into the board, output by output back, although the core takes and makes all at once."""
    net = two_ends(np.random.default_rng(2))
    chosen = [Folding.of(net.layers[0], 2, 2), Folding(2, 2, 2), Folding.of(net.layers[2], 3, 2)]
    core = Core(net, chosen, lanes=lanes)
    x = {tensor.name: frames(np.random.default_rng(3), tensor, 3) for tensor in net.inputs}
    expected = run(net, x, every=True) | {"right": x["right"]}
    answers = [np.concatenate([expected[o][n].reshape(-1) for o in net.outputs]).tolist() for n in range(3)]
    sent = [b"".join((x[i.name][n] & 255).astype(np.uint8).tobytes() for i in net.inputs) for n in range(3)]
    host = Host(core)

    async def program(ctx):
        await host.send(ctx, sent[0] + sent[1])
        assert await host.expect(ctx, 2 * len(answers[0])) == answers[0] + answers[1]
        await host.send(ctx, sent[2][:-16])  # all of the first input, and nothing of the second
        await host.pause(ctx)
        await host.silent(ctx)
        await host.send(ctx, sent[2])
        assert await host.expect(ctx, len(answers[2])) == answers[2]

    host.run(program)
