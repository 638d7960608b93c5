"""Adders and Yosys' additions in carry cells of ECP5: equal to what they stand for, by proof."""

from importlib import resources

import pytest

from hwgen import tools
from hwgen.errors import HwgenError
from hwgen.rtl.adders import VERILOG

pytestmark = pytest.mark.synth

WIDTHS = (1, 2, 3, 4, 7, 12, 13)
CELLS = {name: (resources.files("hwgen.synth") / "ecp5" / name).read_text() for name in ("adders.v", "alu_map.v")}


def adders():
    """A module with every adder in every width; plus and minus exclude each other."""
    ports, body = [], []
    for width in WIDTHS:
        operands = f"#(.WIDTH({width})) add{{}}{width} (.a(a[{width - 1}:0]), .b(b[{width - 1}:0])"
        for kind, controls in (
            ("mux", f".c(c[{width - 1}:0]), .s(s)"),
            ("sign", ".p(s & ~t), .n(t)"),
            ("gate", ".p(s)"),
        ):
            ports.append(f"output [{width - 1}:0] {kind}{width}")
            body.append(f"hwgen_{kind}_add {operands.format(kind)}, {controls}, .y({kind}{width}));")
    inputs = "input [12:0] a, input [12:0] b, input [12:0] c, input s, input t"
    return f"module top({inputs}, {', '.join(ports)});\n" + "\n".join(body) + "\nendmodule\n"


def arithmetic():
    """A module with what Yosys turns into carry chains, in widths that fill the last cell and that do not."""
    ports, body = [], []
    for width in (5, 6, 13):
        a, b = f"a[{width - 1}:0]", f"b[{width - 1}:0]"
        for name, bits, text in (
            ("sum", width + 1, f"{a} + {b}"),
            ("difference", width + 1, f"{a} - {b}"),
            ("either", width, f"s ? {a} + {b} : {a} - {b}"),
            ("less", 1, f"{a} < {b}"),
            ("most", 1, f"$signed({a}) >= $signed({b})"),
        ):
            ports.append(f"output [{bits - 1}:0] {name}{width}")
            body.append(f"assign {name}{width} = {text};")
    return (
        f"module top(input [12:0] a, input [12:0] b, input s, {', '.join(ports)});\n"
        + "\n".join(body)
        + "\nendmodule\n"
    )


def prove(folder, design, *, change=("", "")):
    """``design`` with the cells' behaviour equals ``design`` in cells, for all inputs."""
    (folder / "top.v").write_text(design)
    (folder / "gold.v").write_text(VERILOG)
    for name, text in CELLS.items():
        (folder / name).write_text(text.replace(*change))
    top = "hierarchy -check -top top; proc; flatten"
    script = [
        f"read_verilog top.v gold.v; {top}; rename top gold; design -stash gold",
        # CCU2C as a library cell first, so that it is there to be mapped to, then as a module with a body.
        f"read_verilog -lib +/ecp5/cells_sim.v; read_verilog -icells top.v adders.v; {top}",
        "alumacc; opt; techmap -map alu_map.v; opt; read_verilog -overwrite +/ecp5/cells_sim.v",
        "select -assert-min 1 t:CCU2C; select -assert-none t:$alu t:$add t:$sub t:$lt t:$ge",
        f"{top}; rename top gate; design -stash gate; design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
        "miter -equiv -flatten -make_outputs gold gate miter; hierarchy -top miter; sat -verify -prove trigger 0 miter",
    ]
    tools.run("yosys", ["-p", "; ".join(script)], cwd=folder, log=folder / "prove.log")


@pytest.mark.parametrize("design", [adders, arithmetic])
def test_cells_add(tmp_path, design):
    prove(tmp_path, design())


@pytest.mark.parametrize(
    ("design", "old", "new"),
    [
        (adders, "665A", "66AA"),
        (adders, "569A", "659A"),
        (adders, "6AAA", "66AA"),
        (adders, "{carry, 3'b111}", "{~carry, 3'b111}"),
        (arithmetic, "96AA", "69AA"),
        (arithmetic, "{CI, 2'b11}", "{1'b0, 2'b11}"),
    ],
)
def test_wrong_cells_are_refuted(tmp_path, design, old, new):
    assert any(old in text for text in CELLS.values())
    with pytest.raises(HwgenError):
        prove(tmp_path, design(), change=(old, new))
    assert "model found: FAIL" in (tmp_path / "prove.log").read_text()
