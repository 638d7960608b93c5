// The adders of hwgen/rtl/adders.py in carry cells of ECP5.
//
// A position of a carry chain is a LUT4 in front of an XOR with the carry. It propagates where LUT4(A, B, C, D) is 1; where
// not, the carry is LUT2(A, B), which is the same table at C = D = 0. A sum a + addend(B, C, D) thus needs LUT4 = A ^ addend
// and LUT2 = A. With D tied to 1 the two are different parts of the table.
//
// A chain begins with half a cell that makes its first carry (LUT4 = 0, LUT2 = A). Left to itself nextpnr would put a whole
// cell there, and one at the end for a carry that nothing reads.

module hwgen_mux_add #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input [WIDTH-1:0] c, input s, output [WIDTH-1:0] y
);
  hwgen_carry_chain #(.WIDTH(WIDTH), .INIT(16'h665A)) chain ( // A ^ (D ? B : C)
    .a(a), .b(b), .c(c), .d({WIDTH{s}}), .carry(1'b0), .y(y)
  );
endmodule

module hwgen_sign_add #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input p, input n, output [WIDTH-1:0] y
);
  hwgen_carry_chain #(.WIDTH(WIDTH), .INIT(16'h569A)) chain ( // A ^ (D & B | C & ~B)
    .a(a), .b(b), .c({WIDTH{n}}), .d({WIDTH{p}}), .carry(1'b0), .y(y)
  );
endmodule

module hwgen_gate_add #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input p, output [WIDTH-1:0] y
);
  hwgen_carry_chain #(.WIDTH(WIDTH), .INIT(16'h6AAA)) chain ( // D = 1: A ^ (C & B)
    .a(a), .b(b), .c({WIDTH{p}}), .d({WIDTH{1'b1}}), .carry(1'b0), .y(y)
  );
endmodule

module hwgen_carry_chain #(parameter WIDTH = 1, parameter [15:0] INIT = 0) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input [WIDTH-1:0] c, input [WIDTH-1:0] d, input carry, output [WIDTH-1:0] y
);
  localparam PAIRS = WIDTH / 2 + 1; // place 0 makes the first carry, bit i is in place i + 1
  wire [PAIRS:0] carries;
  genvar i;
  generate for (i = 0; i < PAIRS; i = i + 1) begin : pair
    localparam LOW = 2 * i - 1;
    localparam HIGH = 2 * i;
    wire a0, b0, c0, d0, a1, b1, c1, d1, s0, s1;
    if (i == 0) begin
      assign {a0, b0, c0, d0} = {carry, 3'b111};
    end else begin
      assign {a0, b0, c0, d0} = {a[LOW], b[LOW], c[LOW], d[LOW]};
      assign y[LOW] = s0;
    end
    if (HIGH < WIDTH) begin
      assign {a1, b1, c1, d1} = {a[HIGH], b[HIGH], c[HIGH], d[HIGH]};
      assign y[HIGH] = s1;
    end else begin
      assign {a1, b1, c1, d1} = 4'b1111;
    end
    CCU2C #(
      .INIT0(i == 0 ? 16'h000A : INIT), .INIT1(HIGH < WIDTH ? INIT : 16'hFFFF), .INJECT1_0("NO"), .INJECT1_1("NO")
    ) cell (
      .CIN(i == 0 ? 1'bx : carries[i]),
      .A0(a0), .B0(b0), .C0(c0), .D0(d0), .A1(a1), .B1(b1), .C1(c1), .D1(d1),
      .S0(s0), .S1(s1), .COUT(carries[i + 1])
    );
  end endgenerate
endmodule
