"""The two ends of a core: good, short and long frames, and what they become."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from hwgen.interval import Interval
from hwgen.rtl.frame import Egress, Ingress, byte_lanes

from .axi import play_frames

NIBBLE = Interval(0, 15)


class Loop(wiring.Component):
    """Ingress to egress, with the queue of error flags beside the one word of storage that every layer has and more."""

    def __init__(self, interval, beats, lanes=1):
        self._ingress = Ingress(interval, lanes, beats)
        self._egress = Egress(interval, lanes, beats)
        slave = {f"s_{name}": self._ingress.signature.members[name] for name in ("tdata", "tvalid", "tready", "tlast")}
        names = ("tdata", "tvalid", "tready", "tlast", "tuser")
        super().__init__({**slave, **{f"m_{name}": self._egress.signature.members[name] for name in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ingress = ingress = self._ingress
        m.submodules.egress = egress = self._egress
        m.submodules.flags = flags = fifo.SyncFIFO(width=1, depth=2)
        m.submodules.store = store = fifo.SyncFIFOBuffered(width=len(ingress.o.payload.as_value()), depth=4)
        m.d.comb += [
            store.w_data.eq(ingress.o.payload.as_value()),
            store.w_en.eq(ingress.o.valid),
            ingress.o.ready.eq(store.w_rdy),
            egress.i.payload.as_value().eq(store.r_data),
            egress.i.valid.eq(store.r_rdy),
            store.r_en.eq(egress.i.ready),
        ]
        m.d.comb += [
            ingress.tdata.eq(self.s_tdata),
            ingress.tvalid.eq(self.s_tvalid),
            ingress.tlast.eq(self.s_tlast),
            self.s_tready.eq(ingress.tready),
            flags.w_data.eq(ingress.error),
            flags.w_en.eq(ingress.done),
            ingress.done_ready.eq(flags.w_rdy),
            egress.flag.valid.eq(flags.r_rdy),
            egress.flag.payload.eq(flags.r_data),
            flags.r_en.eq(egress.flag.ready),
            self.m_tdata.eq(egress.tdata),
            self.m_tvalid.eq(egress.tvalid),
            self.m_tlast.eq(egress.tlast),
            self.m_tuser.eq(egress.tuser),
            egress.tready.eq(self.m_tready),
        ]
        return m


def expected(frames, beats, lanes):
    """Every frame cut or filled to ``beats`` words of ``lanes`` values; (values, tlast, tuser) of each word."""
    words = []
    for frame in frames:
        whole = [*frame, *[[0] * lanes] * beats][:beats]
        wrong = len(frame) != beats
        words += [(word, int(n == beats - 1), int(wrong and n == beats - 1)) for n, word in enumerate(whole)]
    return words


def joined(values, bits):
    """Lanes of ``bits`` bits in one number, the first in its low bits."""
    return sum((value & (1 << bits) - 1) << bits * lane for lane, value in enumerate(values))


def check_framing(lengths, beats, lanes=1, **stalls):
    rng = np.random.default_rng(len(lengths))
    frames = [rng.integers(1, 16, (length, lanes)).tolist() for length in lengths]
    want = [(joined(beat, 32), *ends) for beat, *ends in expected(frames, beats, lanes)]
    sent = [[joined(beat, 8) for beat in frame] for frame in frames]
    got, _, _ = play_frames(Loop(NIBBLE, beats, lanes), sent, len(want), slave="s_", master="m_", **stalls)
    assert got == want


STALLS = [
    {},
    {"stall_in": 0.5, "seed": 1},
    {"stall_out": 0.6, "seed": 2},
    {"stall_in": 0.3, "stall_out": 0.5, "seed": 3},
]


@pytest.mark.parametrize("stalls", STALLS, ids=str)
@pytest.mark.parametrize("beats", [1, 2, 4])
def test_every_pair_of_lengths(beats, stalls):
    """Good, short and long frames in every order, up to two frames too long."""
    lengths = [n for first in range(1, 2 * beats + 2) for second in range(1, 2 * beats + 2) for n in (first, second)]
    check_framing([*lengths, beats], beats, **stalls)


@pytest.mark.parametrize("stalls", STALLS, ids=str)
@pytest.mark.parametrize(("lanes", "beats"), [(2, 1), (3, 2)])
def test_every_pair_of_lengths_in_several_lanes(lanes, beats, stalls):
    lengths = [n for first in range(1, 2 * beats + 2) for second in range(1, 2 * beats + 2) for n in (first, second)]
    check_framing([*lengths, beats], beats, lanes, **stalls)


@pytest.mark.parametrize("lanes", [1, 2])
def test_good_frames_take_one_cycle_per_beat(lanes):
    frames = [[1, 2, 3, 4]] * 5
    _, cycles, _ = play_frames(Loop(NIBBLE, 4, lanes), frames, 20, slave="s_", master="m_")
    assert np.diff(cycles).tolist() == [1] * 19


class Taken(wiring.Component):
    """Ingress of several lanes as a plain stream, its errors ignored."""

    def __init__(self, interval, lanes, beats):
        self._ingress = ingress = Ingress(interval, lanes, beats)
        slave = {f"s_{name}": ingress.signature.members[name] for name in ("tdata", "tvalid", "tready", "tlast")}
        master = {"m_tdata": Out(lanes * interval.bits), "m_tvalid": Out(1), "m_tready": In(1)}
        super().__init__({**slave, **master, "m_tlast": Out(1), "m_tuser": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ingress = ingress = self._ingress
        m.d.comb += [
            ingress.tdata.eq(self.s_tdata),
            ingress.tvalid.eq(self.s_tvalid),
            ingress.tlast.eq(self.s_tlast),
            self.s_tready.eq(ingress.tready),
            ingress.done_ready.eq(1),
            self.m_tdata.eq(ingress.o.payload.as_value()),
            self.m_tvalid.eq(ingress.o.valid),
            ingress.o.ready.eq(self.m_tready),
        ]
        return m


@pytest.mark.parametrize("interval", [NIBBLE, Interval(-4, 3), Interval(0, 255), Interval(-128, 127)], ids=str)
def test_a_byte_per_lane(interval):
    """Each lane takes the low bits of its own byte; the rest of the byte does not matter."""
    assert byte_lanes(3) == 24
    rng = np.random.default_rng(0)
    beats = rng.integers(0, 256, (4, 3))
    frames = [[int.from_bytes(bytes(beat), "little") for beat in beats.tolist()]]
    got, _, _ = play_frames(Taken(interval, 3, 4), frames, 4, slave="s_", master="m_")
    mask = (1 << interval.bits) - 1
    want = [sum((value & mask) << lane * interval.bits for lane, value in enumerate(beat)) for beat in beats.tolist()]
    assert [word for word, _, _ in got] == want


def test_negative_words_are_sign_extended():
    frames = [[0x80, 0xFF, 0x7F]]
    got, _, _ = play_frames(Loop(Interval(-128, 127), 3), frames, 3, slave="s_", master="m_")
    assert [word for word, _, _ in got] == [-128, -1, 127]


def test_every_lane_is_sign_extended_by_itself():
    rng = np.random.default_rng(1)
    values = [[-128, 127], [-1, 0], *rng.integers(-128, 128, (6, 2)).tolist()]
    frames = [[joined(beat, 8) for beat in values]]
    got, _, _ = play_frames(Loop(Interval(-128, 127), 8, 2), frames, 8, slave="s_", master="m_")
    assert [word for word, _, _ in got] == [joined(beat, 32) for beat in values]
