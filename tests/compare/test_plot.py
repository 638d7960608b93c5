"""The picture: whole files, a readable name for every scheme, and no trace in Matplotlib's own state."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import matplotlib
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from hwgen.compare import check_plot, check_record, plot
from hwgen.compare.chart import Mark, _label
from hwgen.errors import HwgenError

TEXT = "{http://www.w3.org/2000/svg}text"


def row(name, code, method, bits, lut, accuracy, fits=True):
    return {"name": name, "code": code, "method": method, "act_bits": 8, "best_bits": bits, "lut": lut, "fits": fits,
            "accuracy": accuracy, "output_sqnr_db": bits and 10 + bits / 1e5}  # fmt: skip


RESULT = {
    "float_accuracy": 0.9,
    "board": "icebreaker",
    "target_fps": 1234.5,
    "schemes": [
        row("e2m1 plain", "e2m1", "plain", 400_000, 5000, 0.85),
        row("e2m1 auto", "e2m1", "auto", 405_000, 5001, 0.89),
        row("0,1,-1 <x> & $y$", "0,1,-1", "plain", 150_000, 3000, 0.5),
        row("pot4 auto", "pot4", "auto", 401_000, 9000, 0.885, fits=False),
        row("int8 plain", "int8", "plain", None, None, None, fits=None),  # the scheme cannot be used
        row("int5 plain", "int5", "plain", 500_000, None, 0.88, fits=False),  # at no size does it reach the rate
    ],
}


def texts(path):
    return ["".join(element.itertext()) for element in ElementTree.parse(path).iter(TEXT)]


def test_a_name_for_every_scheme_that_has_the_figures(tmp_path):
    plot(RESULT, tmp_path / "p.svg")
    found = texts(tmp_path / "p.svg")
    times = [found.count(scheme["name"]) for scheme in RESULT["schemes"]]
    assert times == [2, 2, 2, 2, 0, 1]
    assert found.count("float") == 2
    assert "accuracy, %" in found
    assert "LUTs on icebreaker at 1,234 frames/s, estimated (hollow: does not fit)" in found
    assert (tmp_path / "p.svg").read_text().count("fill: #ffffff; stroke: #") == 3  # those that do not fit, per panel
    assert [path.name for path in tmp_path.iterdir()] == ["p.svg"]


def test_without_labels_it_is_the_noise_that_counts(tmp_path):
    bare = {**RESULT, "float_accuracy": None}
    plot(bare, tmp_path / "p.svg")
    found = texts(tmp_path / "p.svg")
    assert "output SQNR, dB" in found
    assert "float" not in found
    assert found.count("e2m1 auto") == 2


def test_without_any_estimate(tmp_path):
    rows = [{**scheme, "lut": None, "fits": False} for scheme in RESULT["schemes"]]
    plot({**RESULT, "target_fps": None, "schemes": rows}, tmp_path / "p.svg")
    found = texts(tmp_path / "p.svg")
    assert "no scheme has this figure" in found
    assert found.count("e2m1 auto") == 1


def test_png(tmp_path):
    plot(RESULT, tmp_path / "P.PNG")
    assert (tmp_path / "P.PNG").read_bytes().startswith(b"\x89PNG")


def test_the_same_comparison_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        plot(RESULT, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_no_global_state(tmp_path):
    before = dict(matplotlib.rcParams)
    plot(RESULT, tmp_path / "p.svg")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_names_do_not_cover_each_other():
    """Not even where a dozen schemes come to the same."""
    figure = Figure(figsize=(5.5, 5))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    marks = [Mark(5, 5 + index / 1000, f"scheme {index}", "black", "o", True) for index in range(12)]
    _label(axes, marks, canvas)
    labels = [child for child in axes.get_children() if isinstance(child, Annotation)]
    assert [label.get_text() for label in labels] == [mark.name for mark in marks]
    boxes = [Text.get_window_extent(label, canvas.get_renderer()) for label in labels]
    for index, box in enumerate(boxes):
        assert axes.bbox.containsx(box.x0)
        assert axes.bbox.containsx(box.x1)
        assert not any(box.overlaps(other) for other in boxes[:index])
    assert all(one.get_position() != other.get_position() for one, other in pairwise(labels))


@pytest.mark.parametrize("name", ["p", "p.pdf", "p.json"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(HwgenError, match=r"must end in \.svg or \.png; rename it"):
        plot(RESULT, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr("hwgen.compare.places.find_spec", lambda name: None if name == "matplotlib" else name)
    with pytest.raises(HwgenError, match=r"^drawing plots needs one more package; run: pip install 'hwgen\[plots\]'$"):
        check_plot(tmp_path / "p.svg")


def test_a_drawing_that_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "p.svg").write_text("an older picture")
    with pytest.raises(KeyError):
        plot({**RESULT, "schemes": [{}]}, tmp_path / "p.svg")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an older picture"]


def test_only_comparisons_are_replaced(tmp_path):
    place = tmp_path / "out.json"
    assert check_record(place) == place
    place.write_text('{"schemes": []}')
    assert check_record(place) == place
    for content in ('{"name": "my package"}', "[1, 2]", "text", ""):
        place.write_text(content)
        with pytest.raises(HwgenError, match="exists and is not a comparison of hwgen; choose another name"):
            check_record(place)
    with pytest.raises(HwgenError, match=r"must end in \.json; rename it"):
        check_record(tmp_path / "out.npz")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(HwgenError, match="is a folder; give a file name"):
        check_record(tmp_path / "folder.json")
