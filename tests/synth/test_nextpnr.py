"""Constraints and tables of nextpnr, without running it."""

import pytest

from hwgen.boards import board
from hwgen.errors import HwgenError
from hwgen.synth.nextpnr import Usage, fits, retarget, usage_in_log

PCF = "# pins\nset_io clk 35\nset_frequency clk 12.0\nset_io out 11\n# end"
LPF = (
    'BLOCK RESETPATHS;\nLOCATE COMP "clk" SITE "G2";\nFREQUENCY PORT "clk" 25000000.0 HZ;\nFREQUENCY NET "a.b" 5 MHZ;\n'
)


def test_retarget_pcf():
    assert retarget(PCF, family="ice40", frequency_mhz=80) == (
        "# pins\nset_io clk 35\nset_io out 11\n# end\nset_frequency clk 80\n"
    )


def test_retarget_lpf():
    assert retarget(LPF, family="ecp5", frequency_mhz=62.5) == (
        'BLOCK RESETPATHS;\nLOCATE COMP "clk" SITE "G2";\n'
        'FREQUENCY PORT "clk" 62.5 MHZ;\nFREQUENCY NET "a.b" 62.5 MHZ;\n'
    )


def test_usage_in_log():
    log = (
        "Info: Device utilisation:\nInfo: \t         ICESTORM_LC:    6012/   5280   113%\n"
        "Info: \t        ICESTORM_RAM:      31/     30   103%\nInfo: Placed 5 cells based on constraints.\n"
    )
    assert usage_in_log(log) == {"ICESTORM_LC": Usage(6012, 5280), "ICESTORM_RAM": Usage(31, 30)}


def test_fits():
    target = board("icebreaker")
    fits({"ICESTORM_LC": Usage(5280, 5280), "UNKNOWN": Usage(2, 1)}, target)
    with pytest.raises(HwgenError, match=r"it needs 6012 logic cells of 5280, 31 block RAMs of 30; choose a larger"):
        fits({"ICESTORM_LC": Usage(6012, 5280), "ICESTORM_RAM": Usage(31, 30)}, target)
