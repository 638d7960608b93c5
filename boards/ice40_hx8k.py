"""Lattice iCE40-HX8K Breakout Board."""

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from .board import Board

__all__ = ["BOARD"]

BOARD = Board(
    name="ice40-hx8k",
    title="Lattice iCE40-HX8K Breakout Board",
    family="ice40",
    device="hx8k",
    package="ct256",
    speed="",
    lut=7680,
    bram=32,
    bram_bits=4096,
    clock_hz=12_000_000,
    frequency_mhz=80,
    make_platform=ICE40HX8KBEVNPlatform,
)
