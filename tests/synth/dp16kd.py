"""A behavioural model of Lattice's DP16KD for ports of 9, 18 and 36 bits; neither Yosys nor nextpnr has one.

After Lattice's simulation models: the array answers at the clock's edge if CE is 1, and a port that writes answers only
with READBEFOREWRITE; the output register, where REGMODE asks for it, follows at every edge at which OCE is 1. All start
as 0. RST and CS are taken to be 0. With ``DATA_WIDTH_A = 36`` A only writes, B only reads. Addresses count bits: words
of 9 bits are at ``AD[13:3]``, of 18 at ``AD[13:4]``, of 36 at ``AD[13:5]``; the low address bits say which bytes of a
wide word are written.
"""

_HEAD = """
parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED";
parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
localparam PSEUDO = DATA_WIDTH_A == 36;  // pseudo dual port
reg [35:0] mem [511:0];
integer i;
"""

_PORT = """
wire clock_{p} = CLK{p} ^ (CLK{p}MUX == "INV");
wire [17:0] in_{p} = {{{data}}};
wire [13:0] at_{p} = {{{address}}};
wire [35:0] row_{p} = mem[at_{p}[13:5]];
wire writes_{p} = WE{p} && !PSEUDO;
wire [35:0] word_{p} = DATA_WIDTH_{p} == 9 ? row_{p}[9 * at_{p}[4:3] +: 9]
    : DATA_WIDTH_{p} == 18 ? row_{p}[18 * at_{p}[4] +: 18] : {{row_{p}[17:0], row_{p}[35:18]}};
wire [3:0] bytes_{p} = PSEUDO ? ("{p}" == "A" ? at_{p}[3:0] : 0)
    : !writes_{p} ? 0 : DATA_WIDTH_{p} == 9 ? 1 << at_{p}[4:3] : at_{p}[1:0] << 2 * at_{p}[4];
wire [35:0] data_{p} = PSEUDO ? {{in_B, in_A}} : DATA_WIDTH_{p} == 9 ? {{4{{in_{p}[8:0]}}}} : {{2{{in_{p}}}}};
reg [35:0] answer_{p} = 0, register_{p} = 0;
always @(posedge clock_{p}) begin
    if (CE{p} && (!writes_{p} || WRITEMODE_{p} == "READBEFOREWRITE")) answer_{p} <= word_{p};
    if (OCE{p}) register_{p} <= answer_{p};
    for (i = 0; i < 4; i = i + 1) if (CE{p} && bytes_{p}[i]) mem[at_{p}[13:5]][9 * i +: 9] <= data_{p}[9 * i +: 9];
end
"""

_TAIL = """
wire [17:0] out_A = REGMODE_A == "OUTREG" ? (PSEUDO ? register_B[35:18] : register_A[17:0])
    : (PSEUDO ? answer_B[35:18] : answer_A[17:0]);
wire [17:0] out_B = REGMODE_B == "OUTREG" ? register_B[17:0] : answer_B[17:0];
"""


def model() -> str:
    """The module's Verilog."""
    buses = {"DI": 18, "AD": 14, "DO": 18, "CS": 3}
    pins = {f"{bus}{port}": [f"{bus}{port}{bit}" for bit in range(buses[bus])] for port in "AB" for bus in buses}
    inputs = [f"{name}{port}" for port in "AB" for name in ("CLK", "CE", "OCE", "WE", "RST")]
    inputs += [name for bus, names in pins.items() if not bus.startswith("DO") for name in names]
    lines = [f"module DP16KD(input {', '.join(inputs)}, output {', '.join(pins['DOA'] + pins['DOB'])});", _HEAD]
    for number in range(64):
        words = f"INITVAL_{number:02X}"  # sixteen of 18 bits, 20 bits apart
        row = f"mem[{8 * number} + i] = {{{words}[40 * i + 20 +: 18], {words}[40 * i +: 18]}};"
        lines += [f"parameter {words} = 320'd0;", f"initial for (i = 0; i < 8; i = i + 1) {row}"]
    for port in "AB":
        data, address = (", ".join(reversed(pins[f"{bus}{port}"])) for bus in ("DI", "AD"))
        lines.append(_PORT.format(p=port, data=data, address=address))
    lines.append(_TAIL)
    lines += [f"assign {{{', '.join(reversed(pins[f'DO{port}']))}}} = out_{port};" for port in "AB"]
    return "\n".join([*lines, "endmodule", ""])
