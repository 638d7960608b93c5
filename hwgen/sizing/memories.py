"""Where memories go and how they are cut: what the generator builds and the planner counts."""

from __future__ import annotations

__all__ = ["BANK_WORDS", "BLOCK_BITS", "in_block_ram"]

BLOCK_BITS = 512
"""A memory of more bits than this, and of more than 16 words, is worth a block RAM on every family here."""

BANK_WORDS = 2048
"""Words of weights that a block RAM of either family holds without a selector behind it."""


def in_block_ram(bits: int, words: int) -> bool:
    """Whether a memory of ``words`` words of ``bits`` bits goes to block RAM; smaller ones are left to synthesis."""
    return bits * words > BLOCK_BITS and words > 16
