"""The facts of the boards agree with amaranth-boards, and names are found without a list."""

import dataclasses
import sys
from pathlib import Path

import pytest

from hwgen import boards
from hwgen.errors import HwgenError

BOARDS_FOLDER = Path(boards.__file__).parent


def test_names():
    assert boards.names() == ("ice40-hx8k", "icebreaker", "ulx3s-25f", "ulx3s-85f")


def test_a_new_file_is_a_new_board(tmp_path, monkeypatch):
    """Discovery looks at the files; nothing else must be edited."""
    new = (BOARDS_FOLDER / "icebreaker.py").read_text().replace('name="icebreaker"', 'name="another"')
    (tmp_path / "another.py").write_text(new)
    monkeypatch.setattr(boards, "__path__", [*boards.__path__, str(tmp_path)])
    registry = sys.modules[boards.Board.__module__]
    registry._boards.cache_clear()
    try:
        assert "another" in boards.names()
        assert boards.board("another").device == "up5k"
    finally:
        registry._boards.cache_clear()
        sys.modules.pop("hwgen.boards.another", None)


def test_unknown_name_lists_the_known():
    with pytest.raises(HwgenError, match="board 'arty' is not known; choose one of ice40-hx8k, icebreaker, ulx3s-25f"):
        boards.board("arty")


@pytest.mark.parametrize("spelling", ["ULX3S-85F", " ulx3s_85f "])
def test_spelling(spelling):
    assert boards.board(spelling).name == "ulx3s-85f"


@pytest.mark.parametrize("name", boards.names())
def test_facts_agree_with_the_platform(name):
    board = boards.board(name)
    platform = board.platform()
    assert board.clock_hz == platform.default_clk_frequency
    assert f"--{board.device}" == platform._nextpnr_device_options[platform.device]
    if board.family == "ice40":
        assert board.package == platform.package.lower()
        assert board.speed == ""
    else:
        assert board.package == platform._nextpnr_package_options[platform.package].upper()
        assert board.speed == platform.speed
    assert board.constraints_suffix in (".pcf", ".lpf")
    assert board.frequency_mhz * 1e6 >= board.clock_hz
    assert platform is not board.platform()


def test_board_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        boards.board("icebreaker").lut = 1
