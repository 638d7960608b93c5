import json
import pickle
from dataclasses import fields, replace
from math import inf

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwgen.errors import HwgenError
from hwgen.floatnet import FloatConv, FloatNetwork, FloatPool, Normalization, PoolKind
from hwgen.interval import Interval
from hwgen.quantize import quantize
from hwgen.reference import quantize_input, run
from hwgen.store import VERSION, identity, load, save


@pytest.fixture(scope="module")
def network():
    """One layer of every kind."""
    rng = np.random.default_rng(0)
    layers = (
        FloatConv("conv", rng.normal(0, 1, (4, 3, 2, 2)), rng.normal(0, 1, 4), (6, 7, 2), np.array([0.5, 3.0]),
                  (1, 1), (1, 0, 1, 0), (0.0, inf)),
        FloatPool("max", PoolKind.MAX, (2, 2), (6, 6, 4), (2, 2)),
        FloatPool("average", PoolKind.AVERAGE, (3, 3), (3, 3, 4)),
        FloatConv("dense", rng.normal(0, 1, (3, 1, 1, 4)), rng.normal(0, 1, 3), (1, 1, 4), np.zeros(4)),
    )  # fmt: skip
    model = FloatNetwork("net", (6, 7, 2), layers, ("a note, ümlaut",), Normalization((0.5,), (0.1, 0.2), (2.0,)))
    return quantize(model, rng.normal(0, 1, (50, 6, 7, 2)))


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
    x = quantize_input(network, np.random.default_rng(1).normal(0, 1, (5, 6, 7, 2)))
    assert (run(network, x) == run(loaded, x)).all()
    assert identity(loaded) == identity(network)


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


def test_the_identity_changes_with_every_number(network):
    seen = {identity(network)}

    def changed(**changes):
        value = identity(replace(network, **changes))
        assert len(value) == 64
        assert value not in seen
        seen.add(value)

    def with_layer(index, layer):
        changed(layers=(*network.layers[:index], layer, *network.layers[index + 1 :]))

    changed(name="other")
    changed(notes=())
    changed(normalization=Normalization())
    changed(input=replace(network.input, scale=network.input.scale * (1 + 1e-15)))
    conv = network.layers[0]
    for name in ("codes", "pad_value", "weight_scale"):
        array = getattr(conv, name).copy()
        array.flat[0] += 1
        with_layer(0, replace(conv, **{name: array}))
    for name in ("mul", "add"):
        array = getattr(conv.requant, name).copy()
        array[-1] = 17 if name == "mul" else array[-1] + 1
        with_layer(0, replace(conv, requant=replace(conv.requant, **{name: array})))
    with_layer(0, replace(conv, requant=replace(conv.requant, shift=conv.requant.shift + 1)))
    last = network.layers[-1]
    for name in ("lo", "hi"):
        rule = replace(last.requant, **{name: getattr(last.requant, name) - 1})
        output = replace(last.output, interval=Interval(rule.lo, rule.hi))
        with_layer(len(network.layers) - 1, replace(last, requant=rule, output=output))
    with_layer(1, replace(network.layers[1], name="other"))
    pool = network.layers[2]
    with_layer(2, replace(pool, output=replace(pool.output, scale=pool.output.scale * 2)))


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


def forge(path, change):
    """Edit the file and make its identity right again: what is left are the checks of the content itself."""
    from hwgen import store

    def edit(header, arrays):
        header.pop("identity")
        change(header, arrays)
        arrays.pop("header")
        header["identity"] = store._digest(header, arrays)

    rewrite(path, edit)


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: arrays.update({"0.codes": np.full_like(arrays["0.codes"], 8)}),  # the negative zero
        lambda header, arrays: arrays.update({"0.mul": arrays["0.mul"] * 0 + 11}),
        lambda header, arrays: arrays.update({"0.mul": arrays["0.mul"][:2]}),
        lambda header, arrays: arrays.update({"0.pad_value": arrays["0.pad_value"].astype(float)}),
        lambda header, arrays: header["layers"][1].update(kind="median"),
        lambda header, arrays: header["layers"][1].update(requant=header["layers"][2]["requant"]),
        lambda header, arrays: header["layers"][2].update(requant=None),
        lambda header, arrays: header["layers"][1].update(stride=[1]),
        lambda header, arrays: header["layers"][1].update(stride=[2, 2.0]),
        lambda header, arrays: header["layers"][3].update(source="nowhere"),
        lambda header, arrays: header["layers"][3]["output"].update(scale=-1.0),
        lambda header, arrays: header["layers"][3]["output"].update(interval=[5, 4]),
        lambda header, arrays: header.update(layers=[]),
        lambda header, arrays: header.update(layers=7),
    ],
)
def test_a_file_that_holds_an_impossible_network_is_refused(path, change):
    forge(path, change)
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
