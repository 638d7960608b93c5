"""Ends of carry chains that lead nowhere are cut, others stay, and nextpnr then packs no cells for them."""

import copy
import json
import re

import pytest

from hwgen import tools
from hwgen.synth.loose_carries import cut_loose_carries
from hwgen.synth.yosys import map_to_cells


def chain(**changes):
    """A chain of two cells: a first carry, then three bits; nets 30 and 31 are its carries."""
    pins = {f"{pin}{half}": ["1"] for pin in "ABCD" for half in "01"}
    first = pins | {"A0": ["0"], "CIN": ["0"], "COUT": [30], "S0": [40], "S1": [41]}
    second = pins | {"CIN": [30], "COUT": [31], "S0": [42], "S1": [43]}
    bit = f"{0x665A:016b}"
    tables = {"first": f"{changes.get('first', 0x000A):016b}", "second": bit}
    first |= changes.get("pins", {})
    directions = dict.fromkeys(pins, "input") | {"CIN": "input", "COUT": "output", "S0": "output", "S1": "output"}
    cells = {}
    for name, connections in (("first", first), ("second", second)):
        cells[name] = {
            "type": "CCU2C",
            "parameters": {"INIT0": tables[name], "INIT1": bit},
            "attributes": {},
            "port_directions": dict(directions),
            "connections": connections,
        }
    port = {"direction": "output", "bits": [41, 42, 43, *changes.get("port", [])]}
    return {"ports": {"y": port}, "cells": cells, "netnames": {}}


def test_both_ends_are_cut():
    design = chain()
    assert cut_loose_carries(design) == 2
    first, second = (design["cells"][name]["connections"] for name in ("first", "second"))
    assert first["CIN"] == second["COUT"] == ["x"]
    assert first["COUT"] == second["CIN"] == [30]


@pytest.mark.parametrize(
    ("changes", "cut"),
    [
        ({"port": [31]}, 1),  # a carry that leaves the module
        ({"first": 0x665A}, 1),  # a first bit that adds its carry
        ({"pins": {"C0": ["0"]}}, 1),  # a table that is read elsewhere
        ({"pins": {"D0": [31]}}, 0),  # the same, and a carry that is read
    ],
)
def test_what_is_used_stays(changes, cut):
    design = chain(**changes)
    before = copy.deepcopy(design)
    assert cut_loose_carries(design) == cut
    if not cut:
        assert design == before


@pytest.mark.synth
def test_no_cells_for_ends(tmp_path):
    """An adder of 13 bits takes 7 carry cells, 14 places, and no more when packed."""
    (tmp_path / "top.v").write_text(
        "module top(input clk, input [12:0] a, b, output reg [12:0] y); always @(posedge clk) y <= a + b; endmodule"
    )
    netlist = map_to_cells(
        ["top.v"], top="top", family="ecp5", device="85k", folder=tmp_path, log=tmp_path / "yosys.log"
    )
    assert netlist.cells["CCU2C"] == 7
    design = json.loads(netlist.path.read_text())
    packed = []
    for _ in range(2):
        arguments = ["--12k", "--package", "CABGA256", "--json", netlist.path.name, "--pack-only"]
        tools.run("nextpnr-ecp5", arguments, cwd=tmp_path, log=tmp_path / "pack.log")
        packed.append(int(re.search(r"TRELLIS_COMB:\s+(\d+)/", (tmp_path / "pack.log").read_text()).group(1)))
        cut_loose_carries(design["modules"]["top"])
        netlist.path.write_text(json.dumps(design))
    assert packed[0] - packed[1] == 4
