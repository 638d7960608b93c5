"""The figures of a report, computed by hand from numbers that make them easy."""

import pytest

from hwgen.synth.report import figures, fmax_mhz

ICE40 = {
    "fmax": {
        "clk$SB_IO_IN": {"achieved": 50.0, "constraint": 25.0},
        "por_clk": {"achieved": 200.0, "constraint": 25.0},
    },
    "utilization": {
        "ICESTORM_LC": {"available": 5280, "used": 2000},
        "ICESTORM_RAM": {"available": 30, "used": 12},
        "ICESTORM_DSP": {"available": 8, "used": 0},
    },
}
ECP5 = {
    "fmax": {"$glbnet$clk": {"achieved": 100.0, "constraint": 100.0}},
    "utilization": {"TRELLIS_COMB": {"available": 24288, "used": 4000}, "DP16KD": {"available": 56, "used": 3}},
}


def test_ice40():
    cells = {"SB_LUT4": 1500, "SB_DFF": 700, "SB_DFFESR": 50, "SB_RAM40_4K": 12}
    result = figures(report=ICE40, cells=cells, family="ice40", cycles_per_frame=5000, macs=1_000_000)
    assert result == {
        "lut": 2000,
        "ff": 750,
        "bram": 12,
        "dsp": 0,
        "fmax_mhz": 50.0,  # of the slower clock
        "cycles_per_frame": 5000,
        "inferences_per_second": 10_000.0,
        "gops": 20.0,
        "gops_per_klut": 10.0,
    }


def test_ecp5():
    cells = {"LUT4": 3000, "TRELLIS_FF": 1234, "DP16KD": 3, "MULT18X18D": 2}
    result = figures(report=ECP5, cells=cells, family="ecp5", cycles_per_frame=1000, macs=1000)
    assert (result["lut"], result["ff"], result["bram"], result["dsp"]) == (4000, 1234, 3, 2)
    assert result["inferences_per_second"] == 100_000
    assert result["gops"] == pytest.approx(0.2)


def test_no_clock():
    with pytest.raises(ValueError, match="must hold the frequency of at least one clock"):
        fmax_mhz({"fmax": {}})
