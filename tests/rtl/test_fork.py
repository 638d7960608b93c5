"""The fork: every consumer gets every word once, whatever the others do."""

import pytest

from hwgen.interval import Interval
from hwgen.rtl.fork import Fork

from .streams import run_streams

SIGNED = Interval(-128, 127)
WORDS = [[(index * 37) % 256 - 128, index % 100] for index in range(200)]


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("stall_in", "stall_out"), [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.6), (0.05, 0.05)])
def test_everyone_gets_everything(n, stall_in, stall_out):
    counts = {f"o{number}": len(WORDS) for number in range(n)}
    taken, cycles = run_streams(Fork(SIGNED, 2, n), {"i": WORDS}, counts, stall_in=stall_in, stall_out=stall_out)
    for name in counts:
        assert taken[name] == WORDS
        if not stall_in and not stall_out:
            assert cycles[name] == list(range(1, len(WORDS) + 1))


def test_refuses_a_single_consumer():
    with pytest.raises(ValueError, match="n must be at least 2 consumers, not 1"):
        Fork(SIGNED, 1, 1)
