"""1BitSquared iCEBreaker."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from .board import Board

__all__ = ["BOARD"]

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker (iCE40UP5K)",
    family="ice40",
    device="up5k",
    package="sg48",
    speed="",
    lut=5280,
    bram=30,
    bram_bits=4096,
    clock_hz=12_000_000,
    frequency_mhz=25,
    make_platform=ICEBreakerPlatform,
)
