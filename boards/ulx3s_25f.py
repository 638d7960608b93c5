"""Radiona ULX3S with the ECP5-25F."""

from amaranth_boards.ulx3s import ULX3S_25F_Platform

from .board import Board

__all__ = ["BOARD"]

BOARD = Board(
    name="ulx3s-25f",
    title="Radiona ULX3S (ECP5 LFE5U-25F)",
    family="ecp5",
    device="25k",
    package="CABGA381",
    speed="6",
    lut=24288,
    bram=56,
    bram_bits=18432,
    clock_hz=25_000_000,
    frequency_mhz=100,
    make_platform=ULX3S_25F_Platform,
)
