"""Radiona ULX3S with the ECP5-85F."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from .board import Board

__all__ = ["BOARD"]

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S (ECP5 LFE5U-85F)",
    family="ecp5",
    device="85k",
    package="CABGA381",
    speed="6",
    lut=83640,
    bram=208,
    bram_bits=18432,
    clock_hz=25_000_000,
    frequency_mhz=100,
    make_platform=ULX3S_85F_Platform,
)
