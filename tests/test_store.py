import copy
import json
import pickle
from dataclasses import fields, is_dataclass, replace
from enum import Enum

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwgen.errors import HwgenError
from hwgen.floatnet import Normalization
from hwgen.quantize import quantize
from hwgen.reference import quantize_input, run
from hwgen.store import VERSION, identity, load, save

from .quantize.conftest import float_chain, float_graph_of


def frames(seed, count=10):
    rng = np.random.default_rng(seed)
    return {"left": rng.normal(0, 1, (count, 8, 9, 2)), "right": rng.integers(0, 9, (count, 8, 9, 3)).astype(np.uint8)}


def graph(seed):
    """Every layer kind, several inputs and outputs, everything that is optional given."""
    model = replace(
        float_graph_of(seed), notes=("a note, ümlaut",), normalization=Normalization((0.5,), (0.1, 0.2), (2.0,))
    )
    return quantize(model, frames(seed))


@pytest.fixture(scope="module")
def network():
    return graph(0)


@pytest.fixture
def path(tmp_path, network):
    save(network, tmp_path / "net.npz")
    return tmp_path / "net.npz"


def same(one, two):
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two)
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(two) and all(same(getattr(one, f.name), getattr(two, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and one == two


def test_what_is_saved_is_loaded(network, path):
    loaded = load(path)
    assert same(network, loaded)
    x = quantize_input(network, frames(1))
    for name, values in run(network, x).items():
        assert (values == run(loaded, x)[name]).all()
    assert identity(loaded) == identity(network)


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_make_the_round_trip(seed, tmp_path):
    chain = quantize(float_chain(seed), np.random.default_rng(seed).normal(0, 1, (10, 8, 9, 2)), act_bits=2 + seed % 7)
    for one in (chain, graph(seed)):
        save(one, tmp_path / "net.npz")
        assert same(one, load(tmp_path / "net.npz"))


def test_nothing_in_the_file_is_pickled(path):
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert all(archive[name].dtype.kind in "uif" for name in archive.files)
    assert header["version"] == VERSION
    assert header["identity"] == identity(load(path))


def test_the_same_network_gives_the_same_bytes(network, path, tmp_path):
    other = tmp_path / "deeper" / "other name.npz"
    save(network, other)
    assert other.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deeper", "net.npz"]


def test_a_failed_save_leaves_the_old_file(network, path, monkeypatch):
    before = path.read_bytes()

    def fail(file, **contents):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(HwgenError, match="No space left"):
        save(network, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["net.npz"]


def variants(value):
    """``value`` with one thing in it changed, for every thing in it; legal or not."""
    if isinstance(value, np.ndarray):
        for index in {0, value.size - 1}:
            changed = value.copy()
            changed.flat[index] += 1
            yield changed
    elif is_dataclass(value):
        for field in fields(value):
            for other in variants(getattr(value, field.name)):
                changed = copy.copy(value)  # without the checks of a constructor
                object.__setattr__(changed, field.name, other)
                yield changed
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for other in variants(item):
                yield (*value[:index], other, *value[index + 1 :])
        yield value[:-1] if value else ("more",)
    elif isinstance(value, Enum):
        yield next(other for other in type(value) if other is not value)
    elif isinstance(value, str):
        yield value + "'"
    elif isinstance(value, float):
        yield float(np.nextafter(value, 1e9))
    elif isinstance(value, int):
        yield value + 1
    else:
        assert value is None


def test_the_identity_changes_with_everything(network):
    seen = [identity(network), *(identity(one) for one in variants(network))]
    assert len(seen) > 300
    assert len(set(seen)) == len(seen)
    assert all(len(value) == 64 for value in seen)


def test_the_identity_is_that_of_the_numbers_not_of_their_layout(network):
    conv = network.layers[0]
    fortran = replace(conv, codes=np.asfortranarray(conv.codes), pad_value=conv.pad_value.astype(">i8"))
    assert identity(replace(network, layers=(fortran, *network.layers[1:]))) == identity(network)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_or_unchanged(network, path, data):
    """Any byte changed or the end cut off: one clear sentence, or (in bytes that do not matter) the same network."""
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    broken = path.with_name("broken.npz")
    broken.write_bytes(content)
    try:
        loaded = load(broken)
    except HwgenError as error:
        refusal = str(error)
    else:
        refusal = "broken.npz" if same(loaded, network) else ""
    assert "broken.npz" in refusal


def rewrite(path, change):
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    change(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda header, arrays: header.update(format="other"), "not a network file"),
        (lambda header, arrays: header.update(version=VERSION + 1), f"version {VERSION + 1}.*quantize the model again"),
        (lambda header, arrays: header.pop("identity"), "damaged"),
        (lambda header, arrays: header["layers"][0]["requant"].update(shift=3), "damaged"),
        (lambda header, arrays: arrays.pop("0.codes"), "damaged"),
        (lambda header, arrays: arrays.update({"0.codes": arrays["0.codes"] ^ 1}), "damaged"),
        (lambda header, arrays: arrays.update(extra=np.zeros(1)), "damaged"),
    ],
)
def test_an_edited_file_is_one_sentence(path, change, text):
    rewrite(path, change)
    with pytest.raises(HwgenError, match=text):
        load(path)


LAYERS = ["first", "depthwise", "sum", "grouped", "merged", "average", "leaky", "silu", "pad", "largest", "logits"]


def test_the_names_below_are_those_of_the_layers(network):
    assert [layer.name for layer in network.layers] == LAYERS


def forge(path, change):
    """Edit the file and make its identity right again: what is left are the checks of the content itself."""
    from hwgen import store

    def edit(header, arrays):
        header.pop("identity")
        change(header, arrays)
        arrays.pop("header")
        header["identity"] = store._digest(header, arrays)

    rewrite(path, edit)


IMPOSSIBLE_FIELDS = [
    ("first", {"kind": "median"}),
    ("first", {"kind": "pool"}),
    ("first", {"groups": 0}),
    ("first", {"source": "nowhere"}),
    ("first", {"source": "logits"}),
    ("first", {"name": 5}),
    ("first", {"requant": None}),
    ("first", {"codebook": {"name": "x", "bits": 10**12, "levels": [0, 1]}}),
    ("first", {"codebook": {"name": "x", "bits": 1, "levels": [0, 1.5]}}),
    ("largest", {"requant": {"shift": 1, "lo": 0, "hi": 1}}),
    ("largest", {"stride": [1]}),
    ("largest", {"stride": [2, 2.0]}),
    ("largest", {"stride": [0, 2]}),
    ("largest", {"pads": [0, 0, 0, -1]}),
    ("average", {"requant": None}),
    ("average", {"divisors": None}),
    ("average", {"divisors": [[9] * 7, [3] * 9]}),
    ("average", {"divisors": [[9] * 8]}),
    ("sum", {"mul": [1, 0]}),
    ("sum", {"mul": [1]}),
    ("sum", {"shift": -1}),
    ("sum", {"sources": ["first"]}),
    ("merged", {"rescale": [None]}),
    ("merged", {"rescale": [{"mul": 0, "add": 0, "shift": 0, "lo": 0, "hi": 1}, None, None]}),
    ("merged", {"rescale": [{"multiply": 1}, None, None]}),
    ("merged", {"input_shapes": [[8, 9, 6], [8, 9, 4]]}),
    ("pad", {"fill": 1000}),
    ("pad", {"fill": True}),
]


@pytest.mark.parametrize(("name", "changes"), IMPOSSIBLE_FIELDS)
def test_a_file_that_holds_an_impossible_layer_is_refused(path, name, changes):
    forge(path, lambda header, arrays: header["layers"][LAYERS.index(name)].update(changes))
    with pytest.raises(HwgenError, match="damaged or not a network file"):
        load(path)


IMPOSSIBLE_ARRAYS = [
    ("first", "codes", lambda old: np.full_like(old, 8)),  # the negative zero
    ("first", "mul", lambda old: old * 0 + 11),
    ("first", "mul", lambda old: old[:2]),
    ("first", "weight_scale", lambda old: old * np.nan),
    ("first", "pad_value", lambda old: old.astype(float)),
    ("sum", "add", lambda old: old[:, None]),
    ("leaky", "values", lambda old: old[:, :-1]),
    ("leaky", "values", lambda old: old + 1000),
    ("pad", "rows", lambda old: old[::-1]),
    ("pad", "columns", lambda old: old + 1000),
    ("pad", "channels", lambda old: old - 2),
    ("pad", "row_offset", lambda old: old[:0]),
]


@pytest.mark.parametrize(("name", "array", "change"), IMPOSSIBLE_ARRAYS)
def test_a_file_that_holds_an_impossible_array_is_refused(path, name, array, change):
    key = f"{LAYERS.index(name)}.{array}"
    forge(path, lambda header, arrays: arrays.update({key: np.ascontiguousarray(change(arrays[key]))}))
    with pytest.raises(HwgenError, match="damaged or not a network file"):
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(layers=[]),
        lambda header: header.update(layers=7),
        lambda header: header.update(outputs=["nothing"]),
        lambda header: header.update(outputs=[]),
        lambda header: header.update(inputs=[]),
        lambda header: header.update(layouts=["channel-first"]),
        lambda header: header.update(layouts=[]),
        lambda header: header.update(layouts=["sideways", "channel-last"]),
        lambda header: header["inputs"][0].update(scale=-1.0),
        lambda header: header["inputs"][0].update(scale=1),
        lambda header: header["inputs"][0].update(interval=[5, 4]),
        lambda header: header["inputs"][0].update(name="right"),
        lambda header: header["normalization"].update(std=["1"]),
        lambda header: header.update(notes="text"),
    ],
)
def test_a_file_that_holds_an_impossible_network_is_refused(path, change):
    forge(path, lambda header, arrays: change(header))
    with pytest.raises(HwgenError, match="damaged or not a network file"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", pickle.dumps([1, 2])])
def test_other_files_are_one_sentence(tmp_path, content):
    other = tmp_path / "other.npz"
    other.write_bytes(content)
    with pytest.raises(HwgenError, match=r"other\.npz.* is damaged or not a network file"):
        load(other)


def test_a_data_file_is_no_network(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 1, 8, 8)), y=np.zeros(2))
    with pytest.raises(HwgenError, match="not a network file"):
        load(tmp_path / "data.npz")


def test_objects_are_never_unpickled(tmp_path, monkeypatch):
    np.savez(tmp_path / "evil.npz", header=np.array([{"format": "x"}], object))
    monkeypatch.setattr(pickle, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    with pytest.raises(HwgenError, match="not a network file"):
        load(tmp_path / "evil.npz")


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path):
    with pytest.raises(HwgenError, match="does not exist"):
        load(tmp_path / "none.npz")
    with pytest.raises(HwgenError, match="folder"):
        load(tmp_path)
