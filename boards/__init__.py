"""Boards: one file of facts each, and the top module that connects a core to a serial port."""

from .board import Board, board, names
from .prepare import prepare

__all__ = ["Board", "board", "names", "prepare"]
