"""Generated folders in miniature: a module with pins, its constraints, and a manifest."""

import json
import subprocess

import pytest

from hwgen import boards

PINS = {
    "ice40": "set_io clk {clk}\nset_io out {out}\nset_frequency clk {mhz}\n",
    "ecp5": 'LOCATE COMP "clk" SITE "{clk}";\nLOCATE COMP "out" SITE "{out}";\n'
    'IOBUF PORT "clk" IO_TYPE=LVCMOS33;\nIOBUF PORT "out" IO_TYPE=LVCMOS33;\nFREQUENCY PORT "clk" {mhz} MHZ;\n',
}
SITES = {"icebreaker": ("35", "11"), "ice40-hx8k": ("J3", "C3"), "ulx3s-25f": ("G2", "B2")}


@pytest.fixture
def design(tmp_path):
    """Writes a folder as ``hwgen generate`` leaves it, around the body of a module with ports ``clk`` and ``out``."""

    def write(board_name, body, **changes):
        board = boards.board(board_name)
        clk, out = SITES[board_name]
        folder = tmp_path / "design"
        (folder / "rtl").mkdir(parents=True)
        (folder / "rtl" / "the top.v").write_text(f"module top(input clk, output out);\n{body}\nendmodule\n")
        mhz = board.clock_hz / 1e6
        (folder / "pins").write_text(PINS[board.family].format(clk=clk, out=out, mhz=mhz))
        manifest = {
            "board": board_name,
            "top": "top",
            "sources": ["rtl/the top.v"],
            "constraints": "pins",
            "cycles_per_frame": 1000,
            "macs": 5000,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest | changes))
        return folder

    return write


@pytest.fixture
def no_tools(monkeypatch):
    """Any program that is started fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"no program may be started, not {args!r}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
