"""Where a memory goes."""

from __future__ import annotations

__all__ = ["BLOCK_BITS", "block_attributes", "in_block_ram"]

BLOCK_BITS = 512
"""A memory of more bits than this, and of more than 16 words, is worth a block RAM on every family here."""


def in_block_ram(bits: int, words: int) -> bool:
    """Whether a memory of ``words`` words of ``bits`` bits goes to block RAM; smaller ones are left to synthesis."""
    return bits * words > BLOCK_BITS and words > 16


def block_attributes(bits: int, words: int, *, rom: bool) -> dict[str, str]:
    """Attributes that make Yosys do so: left alone it puts wide shallow memories, as weights are, into LUTs."""
    return {"rom_style" if rom else "ram_style": "block"} if in_block_ram(bits, words) else {}
