"""Data files: what is read, in which layout, and one sentence for everything that is wrong."""

import io
import zipfile

import numpy as np
import pytest

from hwgen.data import Data, load_data
from hwgen.errors import HwgenError

IMAGES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)


def _save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def _refused(path, *parts, **options):
    with pytest.raises(HwgenError) as error:
        load_data(path, **options)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float32", "float64", "float16", "int64"])
def test_x_stays_as_given(tmp_path, dtype):
    x = IMAGES.astype(dtype)
    data = load_data(_save(tmp_path, x=x, y=np.array([3, 0], np.uint8)), (4, 5, 3))
    assert data.x.dtype == x.dtype
    np.testing.assert_array_equal(data.x, x)
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [3, 0]
    assert len(data) == 2


def test_labels_are_optional_unless_needed(tmp_path):
    path = _save(tmp_path, x=IMAGES)
    assert load_data(path).y is None
    _refused(path, "there are no labels y in it, which are needed here; save them as y", need_labels=True)


def test_compressed_and_string_paths(tmp_path):
    np.savez_compressed(tmp_path / "c.npz", x=IMAGES)
    np.testing.assert_array_equal(load_data(str(tmp_path / "c.npz")).x, IMAGES)


def test_channel_last_from_channel_first_and_flat():
    expected = IMAGES.transpose(0, 2, 3, 1)
    for x in (IMAGES, IMAGES.reshape(2, 60)):
        np.testing.assert_array_equal(Data(x).channel_last((4, 5, 3)), expected)


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 4, 5), (2, 4, 5, 1), (2, 20)])
def test_one_channel_needs_no_axis(shape):
    x = IMAGES[:, :1]
    actual = Data(x.reshape(shape)).channel_last((4, 5, 1))
    np.testing.assert_array_equal(actual, x.transpose(0, 2, 3, 1))
    assert actual.dtype == np.uint8


def test_vectors():
    x = np.arange(14.0).reshape(2, 7)
    assert Data(x).channel_last((1, 1, 7)).shape == (2, 1, 1, 7)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 3, 4), (2, 59), (2, 3, 4, 5, 1), (2, 1, 60)])
def test_shapes_that_do_not_fit(tmp_path, shape):
    x = np.zeros(shape, np.uint8)
    _refused(
        _save(tmp_path, x=x),
        f"x has shape {shape}, but the network takes (N, 3, 4, 5) or (N, 60)",
        input_shape=(4, 5, 3),
    )


def test_channel_last_images_get_a_hint(tmp_path):
    path = _save(tmp_path, x=IMAGES.transpose(0, 2, 3, 1))
    _refused(path, "it is channel-last: save x.transpose(0, 3, 1, 2) instead", input_shape=(4, 5, 3))


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
            load_data(path)
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
