"""What a routed design costs and achieves, from the tools' JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .nextpnr import Usage
from .yosys import DSP_CELLS

__all__ = ["figures", "fmax_mhz", "utilization"]


def utilization(report: Mapping[str, Any]) -> dict[str, Usage]:
    """Resources in nextpnr's report that the design uses."""
    found = {name: Usage(int(entry["used"]), int(entry["available"])) for name, entry in report["utilization"].items()}
    return {name: usage for name, usage in found.items() if usage.used}


def fmax_mhz(report: Mapping[str, Any]) -> float:
    """The frequency that every clock of the design reaches after routing, in MHz.

    ``ValueError`` when nextpnr timed no clock, which a design with flip-flops always has.
    """
    achieved = [float(clock["achieved"]) for clock in report.get("fmax", {}).values()]
    if not achieved:
        raise ValueError("nextpnr's report must hold the frequency of at least one clock")
    return min(achieved)


def figures(
    *, report: Mapping[str, Any], cells: Mapping[str, int], family: str, cycles_per_frame: int, macs: int
) -> dict[str, Any]:
    """The figures of a routed design.

    lut: what the device loses, after packing: logic cells (iCE40; one that only holds a flip-flop counts, because its
        LUT is gone) or LUT4s (ECP5). ff: flip-flops in the netlist. bram, dsp: blocks. fmax_mhz: after routing.
    inferences_per_second: sustained, ``fmax / cycles_per_frame``.
    gops: ``2 * macs * inferences_per_second / 1e9``, two operations per MAC of the model, zeros included.
    gops_per_klut: the same per 1000 ``lut``.
    """
    used = {name: usage.used for name, usage in utilization(report).items()}
    ice40 = family == "ice40"
    lut = used.get("ICESTORM_LC" if ice40 else "TRELLIS_COMB", 0)
    flip_flops = (n for name, n in cells.items() if name.startswith("SB_DFF" if ice40 else "TRELLIS_FF"))
    fmax = fmax_mhz(report)
    rate = fmax * 1e6 / cycles_per_frame
    gops = 2 * macs * rate / 1e9
    return {
        "lut": lut,
        "ff": sum(flip_flops),
        "bram": used.get("ICESTORM_RAM" if ice40 else "DP16KD", 0),
        "dsp": sum(cells.get(name, 0) for name in DSP_CELLS) + used.get("ICESTORM_DSP", 0),
        "fmax_mhz": round(fmax, 3),
        "cycles_per_frame": cycles_per_frame,
        "inferences_per_second": rate,
        "gops": gops,
        "gops_per_klut": gops / (lut / 1000) if lut else 0.0,
    }
