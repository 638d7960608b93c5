"""Every board elaborates to Verilog down to the pins and to constraints that name the same pins."""

import re

import pytest

from hwgen import boards
from hwgen.errors import HwgenError

pytestmark = pytest.mark.synth


@pytest.mark.parametrize("name", boards.names())
def test_verilog_and_constraints(checksum_core, tmp_path, name):
    board = boards.board(name)
    part = boards.prepare(board, checksum_core(2, 5, 3), tmp_path)
    assert part == {
        "board": name,
        "top": "top",
        "sources": ["top.v"],
        "constraints": f"top{board.constraints_suffix}",
        "clock_hz": board.clock_hz,
        "baud": 115200,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*part["sources"], part["constraints"]])
    verilog = (tmp_path / "top.v").read_text()
    assert "\\" not in verilog  # no escaped identifier
    head = re.search(r"module top\(([^)]*)\)", verilog)
    assert head is not None
    ports = {port.strip() for port in head[1].split(",")}
    constraints = (tmp_path / part["constraints"]).read_text()
    pattern = r"set_io (\S+) \S+" if board.family == "ice40" else r'LOCATE COMP "(\S+)" SITE'
    assert set(re.findall(pattern, constraints)) == ports
    assert {"uart_0__rx__io", "uart_0__tx__io", "led_0__io", "led_1__io"} < ports
    assert f"{board.clock_hz / 1e6:.1f}" in constraints or f"{board.clock_hz:.1f} HZ" in constraints


def test_baud_rate_that_the_clock_cannot_make(checksum_core, tmp_path):
    with pytest.raises(HwgenError, match="baud rate 3000000 cannot be made from a clock of 12 MHz"):
        boards.prepare(boards.board("icebreaker"), checksum_core(1, 2, 1), tmp_path, baud=3_000_000)
    assert list(tmp_path.iterdir()) == []
