// Additions and comparisons in carry cells of ECP5: Yosys' own map with the first carry made as in adders.v, in half a cell.

(* techmap_celltype = "$alu" *)
module hwgen_alu (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;

  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y;
  input CI, BI;
  (* force_downto *) output [Y_WIDTH-1:0] CO;

  wire _TECHMAP_FAIL_ = Y_WIDTH <= 4; // cheaper in LUTs

  (* force_downto *) wire [Y_WIDTH-1:0] a, b;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) a_extended (.A(A), .Y(a));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) b_extended (.A(B), .Y(b));

  localparam PAIRS = Y_WIDTH / 2 + 1; // place 0 makes the first carry, bit i is in place i + 1
  (* force_downto *) wire [PAIRS:0] carries;
  (* force_downto *) wire [Y_WIDTH-1:0] inverted = BI ? ~b : b;
  genvar i;
  generate for (i = 0; i < PAIRS; i = i + 1) begin : pair
    localparam LOW = 2 * i - 1;
    localparam HIGH = 2 * i;
    wire a0, b0, c0, a1, b1, c1, s0, s1;
    if (i == 0) begin
      assign {a0, b0, c0} = {CI, 2'b11};
    end else begin
      assign {a0, b0, c0} = {a[LOW], b[LOW], BI};
      assign Y[LOW] = s0;
      assign CO[LOW] = (a[LOW] & inverted[LOW]) | (carries[i] & (a[LOW] | inverted[LOW]));
    end
    if (HIGH < Y_WIDTH) begin
      assign {a1, b1, c1} = {a[HIGH], b[HIGH], BI};
      assign Y[HIGH] = s1;
      assign CO[HIGH] = carries[i + 1];
    end else begin
      assign {a1, b1, c1} = 3'b111;
    end
    CCU2C #(
      .INIT0(i == 0 ? 16'h000A : 16'h96AA), .INIT1(HIGH < Y_WIDTH ? 16'h96AA : 16'hFFFF),
      .INJECT1_0("NO"), .INJECT1_1("NO")
    ) cell (
      .CIN(i == 0 ? 1'bx : carries[i]),
      .A0(a0), .B0(b0), .C0(c0), .D0(1'b1), .A1(a1), .B1(b1), .C1(c1), .D1(1'b1),
      .S0(s0), .S1(s1), .COUT(carries[i + 1])
    );
  end endgenerate

  assign X = a ^ inverted;
endmodule
