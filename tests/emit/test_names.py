"""Names in the netlist text: plain, unique, and the same in every place."""

from hwgen.emit.names import KEYWORDS, plain_names

RTLIL = r"""
module \top
  wire width 1 input 0 \p.x
  wire width 1 \p_x
  wire width 1 \reg
  wire width 1 \a$4
  memory width 8 size 4 \table
  cell \top.core.conv1 \conv1
    connect \p.x \p.x
    connect \error$42 \a$4 [0]
  end
  cell $memrd_v2 $5
    parameter \MEMID "\\table"
    parameter \WIDTH 8
  end
end
module \top.core.conv1
  wire width 1 input 0 \p.x
  wire width 1 output 1 \error$42
end
"""


def test_plain_names():
    expected = (
        RTLIL.replace(r"\p.x", r"\p_x_2")  # p_x is taken by a name that was plain
        .replace(r"\reg", r"\reg_")
        .replace(r"\a$4", r"\a_4")
        .replace(r"\error$42", r"\error_42")
        .replace(r"\top.core.conv1", r"\top_core_conv1")
        .replace(r"\table", r"\table_")
    )
    assert plain_names(RTLIL) == expected


def test_plain_text_is_unchanged():
    text = plain_names(RTLIL)
    assert plain_names(text) == text


def test_names_that_would_be_equal_stay_apart():
    text = "module \\a.b\nend\nmodule \\a$b\nend\nmodule \\a_b\nend\nmodule \\1st\nend\n"
    assert plain_names(text) == "module \\a_b_2\nend\nmodule \\a_b_3\nend\nmodule \\a_b\nend\nmodule \\_1st\nend\n"


def test_keywords():
    assert {"module", "reg", "table", "logic", "final", "bit", "input"} <= KEYWORDS
    assert not {"core", "conv1", "data", "valid"} & KEYWORDS
    assert len(KEYWORDS) == 248  # IEEE 1800-2017
