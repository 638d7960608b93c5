"""Sending a memory to where it is planned."""

from __future__ import annotations

from ..sizing.memories import in_block_ram

__all__ = ["block_attributes"]


def block_attributes(bits: int, words: int, *, rom: bool) -> dict[str, str | int]:
    """Attributes that put it into block RAM: left alone Yosys makes wide shallow memories, as weights are, of LUTs."""
    return {"rom_style" if rom else "ram_style": "block"} if in_block_ram(bits, words) else {}
