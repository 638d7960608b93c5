"""Data files: what is read, in which layout, and one sentence for everything that is wrong."""

import io
import zipfile

import numpy as np
import pytest

from hwgen.data import Data, inputs_of, load_data
from hwgen.errors import HwgenError
from hwgen.expression import Variable
from hwgen.floatnet import FloatInput, FloatNetwork, FloatTable, Layout
from hwgen.quantize import quantize

IMAGES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)

INPUTS = (FloatInput("pixels", (4, 5, 3)),)
LAST = (FloatInput("pixels", (4, 5, 3), Layout.CHANNEL_LAST),)


def _save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def _refused(path, *parts, inputs=INPUTS, **options):
    with pytest.raises(HwgenError) as error:
        load_data(path, inputs, **options)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float32", "float64", "float16", "int64"])
def test_x_stays_as_given(tmp_path, dtype):
    x = IMAGES.astype(dtype)
    data = load_data(_save(tmp_path, x=x, y=np.array([3, 0], np.uint8)), INPUTS)
    assert data.arrays["x"].dtype == x.dtype
    np.testing.assert_array_equal(data.arrays["x"], x)
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [3, 0]
    assert len(data) == 2


def test_labels_are_optional_unless_needed(tmp_path):
    path = _save(tmp_path, x=IMAGES)
    assert load_data(path, INPUTS).y is None
    _refused(path, "there are no labels y in it, which are needed here; save them as y", need_labels=True)


def test_compressed_and_string_paths(tmp_path):
    np.savez_compressed(tmp_path / "c.npz", x=IMAGES)
    np.testing.assert_array_equal(load_data(str(tmp_path / "c.npz"), INPUTS).arrays["x"], IMAGES)


def test_channel_last_from_channel_first_and_flat():
    expected = IMAGES.transpose(0, 2, 3, 1)
    for x in (IMAGES, IMAGES.reshape(2, 60)):
        np.testing.assert_array_equal(Data({"x": x}).channel_last(INPUTS), expected)


def test_channel_last_models_take_their_own_layout():
    expected = IMAGES.transpose(0, 2, 3, 1)
    for x in (expected, expected.reshape(2, 60)):
        np.testing.assert_array_equal(Data({"x": x}).channel_last(LAST), expected)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 4, 5), (2, 4, 5, 1), (2, 20)])
def test_one_channel_needs_no_axis(shape, layout):
    x = IMAGES[:, :1]
    actual = Data({"x": x.reshape(shape)}).channel_last((FloatInput("pixels", (4, 5, 1), layout),))
    np.testing.assert_array_equal(actual, x.transpose(0, 2, 3, 1))
    assert actual.dtype == np.uint8


def test_one_row_needs_no_axis():
    """A signal of 5 samples in 3 channels."""
    x = np.arange(30.0).reshape(2, 3, 5)
    first, last = (FloatInput("signal", (1, 5, 3), layout) for layout in Layout)
    expected = x.transpose(0, 2, 1)[:, None]
    np.testing.assert_array_equal(Data({"x": x}).channel_last((first,)), expected)
    np.testing.assert_array_equal(Data({"x": x.transpose(0, 2, 1)}).channel_last((last,)), expected)


def test_vectors():
    x = np.arange(14.0).reshape(2, 7)
    for layout in Layout:
        assert Data({"x": x}).channel_last((FloatInput("x", (1, 1, 7), layout),)).shape == (2, 1, 1, 7)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 3, 4), (2, 59), (2, 3, 4, 5, 1), (2, 1, 60)])
def test_shapes_that_do_not_fit(tmp_path, shape):
    x = np.zeros(shape, np.uint8)
    path = _save(tmp_path, x=x)
    _refused(path, f"x has shape {shape}, but the network takes (N, 3, 4, 5) or (N, 60)")
    _refused(path, f"x has shape {shape}, but the network takes (N, 4, 5, 3) or (N, 60)", inputs=LAST)


def test_images_in_the_other_layout_get_a_hint(tmp_path):
    path = _save(tmp_path, x=IMAGES.transpose(0, 2, 3, 1))
    _refused(path, "it is channel-last: save x.transpose(0, 3, 1, 2) instead")
    _refused(_save(tmp_path, x=IMAGES), "it is channel-first: save x.transpose(0, 2, 3, 1) instead", inputs=LAST)


TWO = (FloatInput("net/left:0", (4, 5, 3)), FloatInput("right", (1, 1, 2), Layout.CHANNEL_LAST))


@pytest.mark.parametrize("names", [("net/left:0", "right"), ("x0", "x1")])
def test_several_inputs_by_name_or_by_number(tmp_path, names):
    vector = np.array([[1.5, 2], [3, 4]])
    path = _save(tmp_path, **dict(zip(names, (IMAGES, vector), strict=True)), y=np.array([0, 1]), other=np.zeros(3))
    data = load_data(path, TWO)
    assert len(data) == 2
    assert data.y.tolist() == [0, 1]
    found = data.channel_last(TWO)
    assert list(found) == ["net/left:0", "right"]
    np.testing.assert_array_equal(found["net/left:0"], IMAGES.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(found["right"], vector[:, None, None])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (
            {"x": IMAGES},
            "the network has 2 inputs; save an array for each, called net/left:0, right, or x0, x1 and so on",
        ),
        ({"x0": IMAGES, "right": IMAGES}, "the network has 2 inputs"),
        ({"x0": IMAGES, "x1": np.zeros((3, 2))}, "each input must have as many samples, not 2 in x0, 3 in x1"),
        ({"x0": IMAGES, "x1": np.zeros((2, 3))}, "x1 has shape (2, 3), but the network takes"),
        ({"x0": IMAGES, "x1": np.full((2, 2), np.nan)}, "x1 has NaN or infinite values"),
    ],
)
def test_bad_arrays_of_several_inputs(tmp_path, arrays, reason):
    _refused(_save(tmp_path, **arrays), reason, inputs=TWO)


def test_inputs_of_both_kinds_of_network():
    table = FloatTable("out", "x", (4, 5, 3), Variable())
    model = FloatNetwork("net", (FloatInput("x", (4, 5, 3), Layout.CHANNEL_LAST),), (table,), ("out",))
    assert inputs_of(model) == inputs_of(quantize(model, np.zeros((1, 4, 5, 3)))) == model.inputs


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"images": IMAGES}, "there is no array x in it; save the samples as x"),
        ({"x": IMAGES[:0]}, "x has shape (0, 3, 4, 5), which holds no samples"),
        ({"x": np.float32(1)}, "x has shape (), which holds no samples"),
        ({"x": np.zeros(5)}, "x has shape (5,), which holds no samples"),
        ({"x": np.array([[1.0, np.nan]])}, "x has NaN or infinite values; clean the data"),
        ({"x": np.array([[1.0, -np.inf]])}, "x has NaN or infinite values; clean the data"),
        ({"x": np.array([[1.0, -1e19]])}, "x has values beyond 1e+18; scale the data"),
        ({"x": np.array([[1 + 2j]])}, "x holds complex128, not real numbers"),
        ({"x": np.array([["a"]])}, "x holds <U1, not real numbers"),
        ({"x": np.array([[1, "a", None]], object)}, "x holds Python objects, not numbers; save it as a plain array"),
        ({"x": IMAGES, "y": np.array([1, None])}, "y holds Python objects, not numbers"),
        ({"x": IMAGES, "y": np.array([1, 2, 3])}, "for each of the 2 samples, not int64 of shape (3,)"),
        ({"x": IMAGES, "y": np.eye(2, dtype=int)}, "for each of the 2 samples, not int64 of shape (2, 2)"),
        ({"x": IMAGES, "y": np.array([0.0, 1.0])}, "for each of the 2 samples, not float64 of shape (2,)"),
        ({"x": IMAGES, "y": np.array([0, -1])}, "labels y must be one class number (integer, 0 and up)"),
    ],
)
def test_bad_arrays(tmp_path, arrays, reason):
    _refused(_save(tmp_path, **arrays), reason)


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("the file was unpickled",)

    _refused(_save(tmp_path, x=np.array([[Bomb()]], object)), "x holds Python objects")


def test_paths_that_are_not_files(tmp_path):
    _refused(tmp_path, "is a folder; give an .npz file with an array x")
    _refused(tmp_path / "missing.npz", "does not exist; give an .npz file with an array x")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", bytes(1000)])
def test_files_that_are_not_npz(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    _refused(path, "is not an .npz file or is damaged; write it with numpy.savez")


def test_a_single_array_is_not_npz(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    _refused(tmp_path / "x.npy", "is not an .npz file or is damaged")


def test_every_damaged_byte_is_refused_or_read(tmp_path):
    path = _save(tmp_path, x=IMAGES, y=np.array([1, 2]))
    whole = path.read_bytes()
    reasons = set()
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 0xFF]) + whole[index + 1 :])
        try:
            load_data(path, INPUTS)
        except HwgenError as error:
            reasons.add(str(error))
    # Check sums find damage in the values; damage of a name hides the array.
    for expected in ("is not an .npz file or is damaged; write it with numpy.savez", "there is no array x in it"):
        assert any(expected in reason for reason in reasons)


def test_a_header_that_promises_terabytes_is_refused_before_allocation(tmp_path):
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 20)})
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member.getvalue() + bytes(64))
    _refused(path, "is not an .npz file or is damaged")
