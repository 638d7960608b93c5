"""Emitted Verilog: read back by Yosys and simulated by Verilator, with names and attributes as promised."""

import re
import subprocess
import time

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Instance, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen import tools
from hwgen.emit.verilog import to_verilog
from hwgen.errors import HwgenError

pytestmark = pytest.mark.synth


class Rom(wiring.Component):
    """``data`` is the word at ``address``, a cycle later."""

    def __init__(self, words, width):
        self._words, self._width = words, width
        super().__init__({"address": In(range(len(words))), "data": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = rom = Memory(
            shape=self._width, depth=len(self._words), init=self._words, attrs={"rom_style": "block"}
        )
        read = rom.read_port()
        m.d.comb += [read.addr.eq(self.address), self.data.eq(read.data)]
        return m


class Inner(wiring.Component):
    """Names that Verilog cannot spell: a field, a keyword, two signals of one name."""

    x: In(signed(4))
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        pair = Signal(data.StructLayout({"low": signed(4), "high": 4}))
        kept = Signal(8, name="reg", attrs={"keep": 1})
        twice = [Signal(4, name="same") for _ in range(2)]
        m.d.comb += [twice[0].eq(self.x), twice[1].eq(~twice[0]), pair.low.eq(self.x), pair.high.eq(twice[1])]
        m.d.sync += kept.eq(pair.as_value() + twice[0])
        m.d.comb += self.o.eq(kept)
        return m


class Outer(wiring.Component):
    x: In(signed(4))
    o: Out(8)
    error: Out(1)
    constant: Out(8)

    def elaborate(self, platform):
        m = Module()
        core = m.submodules.core = Module()
        core.submodules.conv1 = inner = Inner()
        m.d.comb += [inner.x.eq(self.x), self.o.eq(inner.o)]
        # An ``always @*`` without inputs, which a simulator never starts: the trap that the emission avoids.
        with m.Switch(Signal()):
            with m.Case(0):
                m.d.comb += self.constant.eq(0x5A)
            with m.Default():
                m.d.comb += self.constant.eq(0xFF)
        return m


def test_names_and_attributes(tmp_path):
    path = to_verilog(Outer(), tmp_path / "deep" / "outer.v", name="outer")
    assert path == tmp_path / "deep" / "outer.v"
    assert [other.name for other in path.parent.iterdir()] == ["outer.v"]  # nothing else is left
    text = path.read_text()
    assert re.findall(r"^module (\w+)\s*\(", text, re.MULTILINE) == ["outer", "outer_core", "outer_core_conv1"]
    assert re.search(r"^  outer_core core \(", text, re.MULTILINE)
    assert re.search(r"^  outer_core_conv1 conv1 \(", text, re.MULTILINE)
    assert "\\" not in text
    assert set(re.findall(r"\(\* *(\w+)", text)) == {"keep"}
    assert "always @*" not in text
    assert "assign constant = 8'h5a" in text


def test_foreign_module_is_left_to_another_file(tmp_path):
    """A top that instantiates a module of another file keeps its name and ports."""
    m = Module()
    x, y = Signal(), Signal()
    m.submodules.core = Instance("hwgen_core", i_s_axis_tvalid=x, o_m_axis_tvalid=y)

    class Top(wiring.Component):
        a: In(1)
        b: Out(1)

        def elaborate(self, platform):
            m.d.comb += [x.eq(self.a), self.b.eq(y)]
            return m

    text = to_verilog(Top(), tmp_path / "top.v", name="top").read_text()
    assert re.search(r"hwgen_core core \(\s*\.m_axis_tvalid\(\w+\),\s*\.s_axis_tvalid\(\w+\)", text)


def test_yosys_reads_it_back_equal(tmp_path):
    """The Verilog is the same machine as the netlist it came from, proved for every input."""
    path = to_verilog(Inner(), tmp_path / "a.v", name="a")
    (tmp_path / "b.il").write_text(rtlil.convert(Inner(), name="b", emit_src=False))
    commands = (
        "read_verilog a.v; read_rtlil b.il; proc; opt_clean; miter -equiv -flatten a b m; "
        "hierarchy -top m; sat -verify -prove trigger 0 -tempinduct -set-init-zero m"
    )
    tools.run("yosys", ["-q", "-p", commands], cwd=tmp_path)
    path.write_text(path.read_text().replace("~", ""))  # a mistake, which the proof must notice
    with pytest.raises(HwgenError, match="proof did fail"):
        tools.run("yosys", ["-q", "-p", commands], cwd=tmp_path)


def test_large_rom_is_fast(tmp_path):
    """A weight memory of 1.5 Mbit: seconds, and every word in its place."""
    words = [(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128) for n in range(11_616)]
    start = time.process_time()
    text = to_verilog(Rom(words, 128), tmp_path / "rom.v", name="rom").read_text()
    assert time.process_time() - start < 20
    assert '(* rom_style = "block" *)' in text
    found = re.findall(r"table_\w*\[(\d+)\] = 128'h([0-9a-f]+);", text)
    assert [int(word, 16) for _, word in found] == words
    assert [int(number) for number, _ in found] == list(range(len(words)))


@pytest.mark.parametrize("simulator", ["verilator", "iverilog"])
def test_simulators_accept_it(tmp_path, simulator):
    if not tools.is_available(simulator):
        pytest.skip(f"{simulator} is not installed")
    rom = to_verilog(Rom([3, 1, 2], 8), tmp_path / "rom.v", name="rom")
    outer = to_verilog(Outer(), tmp_path / "outer.v", name="outer")
    lint = ["--lint-only", "-Wno-fatal"] if simulator == "verilator" else ["-g2012", "-o", "/dev/null"]
    for path, top in ((rom, "rom"), (outer, "outer")):
        option = ["--top-module", top] if simulator == "verilator" else ["-s", top]
        tools.run(simulator, [*lint, *option, path.name], cwd=tmp_path)


def test_nothing_is_left_when_yosys_fails(tmp_path, monkeypatch):
    (tmp_path / "out.v").write_text("an earlier result")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'ERROR: out of order'\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(broken))
    with pytest.raises(HwgenError, match="yosys failed: ERROR: out of order"):
        to_verilog(Outer(), tmp_path / "out.v", name="outer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "out.v"]
    assert (tmp_path / "out.v").read_text() == "an earlier result"


def test_no_x_at_time_zero(tmp_path):
    """Where Icarus is installed: an output that depends on nothing has its value, not X, in SystemVerilog mode."""
    if not tools.is_available("iverilog"):
        pytest.skip("iverilog is not installed")
    to_verilog(Outer(), tmp_path / "outer.v", name="outer")
    (tmp_path / "bench.v").write_text(
        "module bench; wire [7:0] c; outer dut(.clk(1'b0), .rst(1'b0), .x(4'd0), .constant(c));\n"
        'initial begin #1 $display("%h", c); $finish; end endmodule\n'
    )
    tools.run("iverilog", ["-g2012", "-o", "bench", "bench.v", "outer.v"], cwd=tmp_path)
    done = subprocess.run([tmp_path / "bench"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5a"]
