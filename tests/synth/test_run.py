"""``synth`` on real, tiny designs: figures, refusals, and what is left in the folder."""

import dataclasses

import pytest

from hwgen.boards import board
from hwgen.errors import HwgenError
from hwgen.synth import run, synth

pytestmark = pytest.mark.synth

# A counter with 24 bits, a ROM of 512 words and an adder behind it: flip-flops, LUTs, carries, one block RAM.
BODY = """
reg [23:0] count = 0;
reg [7:0] rom [511:0];
reg [7:0] word;
reg [15:0] sum = 0;
integer i;
initial for (i = 0; i < 512; i = i + 1) rom[i] = (i >> 3) ^ (i << 2) ^ 8'h5a;
always @(posedge clk) begin
    count <= count + 1;
    word <= rom[count[23:15]];
    sum <= sum + word;
end
assign out = sum[15];
"""


@pytest.mark.parametrize(
    ("name", "bitstream", "resource"),
    [
        ("icebreaker", "top.bin", "ICESTORM_LC"),
        ("ice40-hx8k", "top.bin", "ICESTORM_LC"),
        ("ulx3s-25f", "top.bit", None),
    ],
)
def test_bitstream_and_figures(design, name, bitstream, resource):
    folder = design(name, BODY)
    (folder / "synth.json").write_text("an earlier result")
    said = []
    result = synth(folder, progress=said.append)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["manifest.json", "nextpnr.log", "pins", "rtl", bitstream, "yosys.log"]
    )
    assert result["bitstream"] == bitstream
    assert (folder / bitstream).stat().st_size > 10_000
    assert result["ff"] in range(40, 49)  # 24 + 16, and up to 8 where the ROM's register is not in the block
    assert result["bram"] == 1
    assert result["dsp"] == 0
    assert 30 <= result["lut"] <= 120
    assert result["fmax_mhz"] > result["clock_mhz"]
    assert result["cycles_per_frame"] == 1000
    rate = result["fmax_mhz"] * 1e6 / 1000
    assert result["inferences_per_second"] == pytest.approx(rate, rel=1e-4)
    assert result["gops"] == pytest.approx(2 * 5000 * rate / 1e9, rel=1e-4)
    assert result["gops_per_klut"] == pytest.approx(result["gops"] * 1000 / result["lut"])
    if resource:
        assert result["lut"] == result["utilization"][resource]["used"]
    assert result["seconds"].keys() == {"yosys", "nextpnr"}
    assert result["versions"]["yosys"] != "unknown"
    assert "synth_" in result["commands"]["yosys"]
    assert any(line.startswith("yosys: ") for line in said)
    assert any(line.startswith("nextpnr-") and "Rout" in line for line in said)


@pytest.mark.parametrize(("expression", "count"), [("count[23:16] * count[7:0]", 1), ("count[23:8] % count[7:0]", 1)])
def test_a_multiplier_is_refused(design, expression, count):
    folder = design("icebreaker", BODY.replace("sum + word", f"sum + word + {expression}"))
    (folder / "top.bin").write_text("an earlier result")
    with pytest.raises(
        HwgenError, match=f"not multiplier-free: Yosys found {count} multiplying or dividing cell, .*top/"
    ):
        synth(folder)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["manifest.json", "pins", "rtl", "yosys.log"]  # no result that could be taken for this design's


def test_a_multiplier_by_a_constant_is_refused(design):
    """A synthesizer would make shifts and adds of it, but then the generator did not."""
    folder = design("ulx3s-25f", BODY.replace("sum + word", "sum + word * 37"))
    with pytest.raises(HwgenError, match="not multiplier-free"):
        synth(folder)


@pytest.mark.parametrize(
    ("name", "instance", "cell"),
    [
        ("icebreaker", "wire [31:0] p; SB_MAC16 m(.CLK(clk), .A(count[15:0]), .B(sum), .O(p));", "SB_MAC16"),
        (
            "ulx3s-25f",
            "wire [1:0] p; MULT18X18D m(.A0(count[0]), .A1(count[1]), .B0(sum[0]), .B1(sum[1]), .P0(p[0]), .P1(p[1]));",
            "MULT18X18D",
        ),
    ],
)
def test_a_dsp_block_is_refused(design, name, instance, cell):
    folder = design(name, BODY.replace("assign out = sum[15];", f"{instance} assign out = sum[15] ^ p[0] ^ p[1];"))
    with pytest.raises(HwgenError, match=rf"not multiplier-free: its netlist uses DSP blocks \(1 {cell}\)"):
        synth(folder)


def test_too_many_block_rams(design):
    """Known from the netlist, before placement is tried."""
    body = """
    reg [15:0] ram [8191:0]; reg [15:0] word; reg [12:0] address = 0;
    always @(posedge clk) begin
        address <= address + 1; word <= ram[address]; ram[address ^ 5] <= word ^ address;
    end
    assign out = ^word;
    """
    folder = design("icebreaker", body)
    with pytest.raises(
        HwgenError, match=r"does not fit 1BitSquared iCEBreaker .*: it needs 32 block RAMs of 30; choose"
    ):
        synth(folder)
    assert not (folder / "nextpnr.log").exists()


def test_too_many_logic_cells(design):
    """Known only after packing: flip-flops without LUTs fill logic cells too."""
    chains = "".join(
        f"reg [529:0] c{n} = 0; always @(posedge clk) c{n} <= {{c{n}[528:0], c{(n - 1) % 10}[529]}};" for n in range(10)
    )
    folder = design("icebreaker", f"reg t = 0; always @(posedge clk) t <= ~t; {chains} assign out = c9[529] ^ t;")
    text = (folder / "rtl" / "the top.v").read_text().replace("c9[529]};", "t};")  # a chain, not a ring of zeros
    (folder / "rtl" / "the top.v").write_text(text)
    with pytest.raises(
        HwgenError, match=r"does not fit .*: it needs 53\d\d logic cells of 5280; choose a larger board"
    ):
        synth(folder)
    assert "ICESTORM_LC" in (folder / "nextpnr.log").read_text()


def test_slower_than_the_boards_clock(design, monkeypatch):
    """An oscillator that no iCE40 can follow."""
    monkeypatch.setattr(run, "board", lambda name: dataclasses.replace(board(name), clock_hz=400_000_000))
    folder = design("icebreaker", BODY)
    with pytest.raises(
        HwgenError, match=r"the design reaches \d+\.\d MHz on .*, less than the board's clock of 400 MHz"
    ):
        synth(folder)
    assert not (folder / "synth.json").exists()
    assert not (folder / "top.bin").exists()


def test_target_frequency_reaches_nextpnr(design, monkeypatch):
    """What is asked for is the target, not the oscillator's frequency that the constraints carry."""
    seen = []
    original = run.figures
    monkeypatch.setattr(run, "figures", lambda **given: seen.append(given["report"]["fmax"]) or original(**given))
    result = synth(design("ulx3s-25f", BODY), frequency_mhz=61.5, seed=7)
    ((clock,),) = [list(fmax.values()) for fmax in seen]
    assert clock["constraint"] == pytest.approx(61.5, rel=1e-3)
    assert (result["frequency_mhz"], result["seed"]) == (61.5, 7)
    assert "--seed 7" in result["commands"]["nextpnr-ecp5"]


def test_yosys_error(design):
    folder = design("icebreaker", "assign out = nothing_of_this_name(clk);")
    with pytest.raises(HwgenError, match=r"yosys failed: .*nothing_of_this_name.*; the whole log is .*yosys\.log"):
        synth(folder)


@pytest.mark.usefixtures("no_tools")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"board": "arty"}, "board 'arty' is not known"),
        ({"top": 3}, "has no usable 'top'; run hwgen generate again"),
        ({"macs": None}, "has no usable 'macs'"),
        ({"cycles_per_frame": 0}, "names no cycles or no sources"),
        ({"sources": []}, "names no cycles or no sources"),
        ({"sources": ["lost.v"]}, "lost.v' is missing; run hwgen generate again"),
        ({"sources": [1]}, "names no cycles or no sources"),
        ({"constraints": "lost.pcf"}, "lost.pcf' is missing; run hwgen generate again"),
    ],
)
def test_bad_manifest(design, changes, message):
    folder = design("icebreaker", BODY, **changes)
    with pytest.raises(HwgenError, match=message):
        synth(folder)


@pytest.mark.usefixtures("no_tools")
def test_bad_arguments(design, tmp_path):
    folder = design("icebreaker", BODY)
    with pytest.raises(HwgenError, match="the target frequency must be above 0 MHz, not -1"):
        synth(folder, frequency_mhz=-1)
    for seed in (-1, 1 << 31):
        with pytest.raises(HwgenError, match=f"seed must be between 0 and 2147483647, not {seed}"):
            synth(folder, seed=seed)
    with pytest.raises(HwgenError, match=r"manifest.json' is missing; run hwgen generate again"):
        synth(tmp_path / "nowhere")


@pytest.mark.usefixtures("no_tools")
def test_all_tools_are_looked_for_first(design, monkeypatch):
    monkeypatch.setenv("ICEPACK", "no-such-icepack")
    with pytest.raises(HwgenError, match="ICEPACK names 'no-such-icepack'"):
        synth(design("icebreaker", BODY))
