"""Plain names: every identifier of a design in letters, digits and underscores, and none a reserved word.

Amaranth names modules ``core.conv1``, struct fields ``p.x`` and second signals of one name ``x$2``; Verilog can only
spell those as escaped identifiers, which tools and test benches handle in different ways. ``rename -unescape`` of Yosys
is no replacement: it renames a port without the connections to it (0.70), and leaves modules as they are.
"""

from __future__ import annotations

import re

__all__ = ["KEYWORDS", "plain_names"]

# Annex B of IEEE 1800-2017, which contains the reserved words of Verilog-2005.
KEYWORDS = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin
    bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos
    config const constraint context continue cover covergroup coverpoint cross deassign default defparam design
    disable dist do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate
    endgroup endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify
    endtable endtask enum event eventually expect export extends extern final first_match for force foreach
    forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer interconnect
    interface intersect join join_any join_none large let liblist library local localparam logic longint
    macromodule matches medium modport module nand negedge nettype new nexttime nmos nor noshowcancelled not
    notif0 notif1 null or output package packed parameter pmos posedge primitive priority program property
    protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
    showcancelled signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit
    tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until
    until_with untyped use uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard
    wire with within wor xnor xor
    """.split()  # noqa: SIM905 (a list of 250 strings would be no easier to read)
)
"""Words that are no identifiers in SystemVerilog (simulators read ``.v`` files as such too)."""

# A public identifier of RTLIL ends at white space; in a string (the name of a memory) its backslash is doubled. The
# constants, megabytes of weights, hold no backslash and cost nothing.
_IDENTIFIER = re.compile(r'(?<=\s)\\([^\s"]+)|(?<=\\MEMID ")\\\\([^"]+)')
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and name not in KEYWORDS


def plain_names(text: str) -> str:
    """``text`` (RTLIL) with every public identifier made plain.

    One name becomes the same everywhere, so that ports and their connections stay together. Names that would become
    equal get a number; a name that was plain already is never changed or given to another.
    """
    names = list(dict.fromkeys(match[1] or match[2] for match in _IDENTIFIER.finditer(text)))
    taken = {name for name in names if _is_plain(name)}
    renamed: dict[str, str] = {}
    for name in names:
        if name in taken:
            continue
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)
        base = f"_{base}" if base[0].isdigit() else base
        candidate = f"{base}_" if base in KEYWORDS else base
        number = 1
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate)
        renamed[name] = candidate

    def replace(match: re.Match[str]) -> str:
        if match[1] is not None:
            return f"\\{renamed.get(match[1], match[1])}"
        return f"\\\\{renamed.get(match[2], match[2])}"

    return _IDENTIFIER.sub(replace, text)
