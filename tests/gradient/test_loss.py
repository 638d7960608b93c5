"""Losses: their gradients by central differences, their values by definition, and the drawn labels and targets."""

import numpy as np
import pytest

from hwgen.gradient import CrossEntropy, SquaredDistance, drawn_labels, drawn_targets

ALL = slice(None)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def assert_is_derivative(loss, outputs):
    losses, made = loss(outputs, ALL)
    step = 1e-6
    for name, gradient in made.items():
        for place in np.ndindex(gradient.shape):
            ends = []
            for sign in (1, -1):
                moved = outputs[name].copy()
                moved[place] += sign * step
                ends.append(loss({**outputs, name: moved}, ALL)[0].sum())
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)
    return losses, made


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_cross_entropy_of_labels(rng, size):
    logits, labels = rng.normal(0, 2, (4, *size, 5)), rng.integers(0, 5, (4, *size))
    losses, _ = assert_is_derivative(CrossEntropy(labels if size != (1, 1) else labels.reshape(4)), {"y": logits})
    shares = np.exp(logits) / np.exp(logits).sum(axis=3, keepdims=True)
    picked = np.take_along_axis(shares, labels[..., None], axis=3)
    np.testing.assert_allclose(losses, -np.log(picked).sum(axis=(1, 2, 3)))


def test_cross_entropy_of_the_own_argmax(rng):
    """Of every output, and the same as with that argmax as labels."""
    outputs = {"a": rng.normal(0, 2, (4, 1, 1, 5)), "b": rng.normal(0, 2, (4, 2, 2, 3))}
    losses, made = assert_is_derivative(CrossEntropy(), outputs)
    labels = {name: value.argmax(axis=3) for name, value in outputs.items()}
    given, same = CrossEntropy(labels)(outputs, ALL)
    np.testing.assert_array_equal(losses, given)
    assert made.keys() == same.keys() == outputs.keys()


def test_cross_entropy_of_huge_logits():
    losses, made = CrossEntropy(np.array([1]))({"y": np.array([1e4, -1e4, 0.0]).reshape(1, 1, 1, 3)}, ALL)
    assert losses.tolist() == [2e4]
    assert made["y"].reshape(-1).tolist() == [1.0, -1.0, 0.0]


def test_squared_distance(rng):
    outputs = {"a": rng.normal(0, 2, (3, 1, 2, 4)), "b": rng.normal(0, 2, (3, 2, 2, 3))}
    target = rng.normal(0, 2, (3, 2, 2, 3))
    losses, made = assert_is_derivative(SquaredDistance({"b": target}), outputs)
    assert made.keys() == {"b"}
    np.testing.assert_allclose(losses, 0.5 * ((outputs["b"] - target) ** 2).reshape(3, -1).sum(axis=1))


def test_frames_of_a_batch(rng):
    """The labels and targets are those of all frames."""
    y = rng.normal(0, 1, (5, 1, 1, 3))
    for loss in (CrossEntropy(rng.integers(0, 3, 5)), SquaredDistance(rng.normal(0, 1, (5, 1, 1, 3)))):
        whole, _ = loss({"y": y}, ALL)
        some, _ = loss({"y": y[3:5]}, slice(3, 5))
        np.testing.assert_array_equal(some, whole[3:5])


@pytest.mark.parametrize(
    ("loss", "shape", "message"),
    [
        (CrossEntropy(np.array([0, 3])), (2, 1, 1, 3), r"labels of y must be one number of 0\.\.2 per pixel"),
        (CrossEntropy(np.array([0, -1])), (2, 1, 1, 3), r"labels of y must be"),
        (CrossEntropy(np.array([0, 1])), (2, 1, 2, 3), r"labels of y must be"),
        (CrossEntropy(), (2, 1, 1, 1), "cross-entropy needs an output of at least 2 channels, y has 1"),
        (CrossEntropy({"z": np.zeros(2, int)}), (2, 1, 1, 3), "must be given for outputs of y, not for z"),
        (SquaredDistance(np.zeros((2, 1, 1, 2))), (2, 1, 1, 3), "targets of y must be"),
    ],
)
def test_errors(loss, shape, message):
    with pytest.raises(ValueError, match=message):
        loss({"y": np.zeros(shape)}, ALL)


def test_one_array_for_two_outputs_is_an_error():
    with pytest.raises(ValueError, match="for some of the outputs a, b"):
        SquaredDistance(np.zeros((2, 1, 1, 2)))({"a": np.zeros((2, 1, 1, 2)), "b": np.zeros((2, 1, 1, 2))}, ALL)


def test_drawn_labels_have_the_probabilities_of_the_softmax():
    logits = np.log(np.array([0.6, 0.3, 0.1]))
    labels = drawn_labels(np.broadcast_to(logits, (200, 10, 10, 3)), seed=3)
    assert labels.shape == (200, 10, 10)
    shares = np.bincount(labels.reshape(-1), minlength=3) / labels.size
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=4 * np.sqrt(0.25 / labels.size))
    assert (drawn_labels(np.broadcast_to(logits, (200, 10, 10, 3)), seed=3) == labels).all()


def test_mean_squared_gradient_of_drawn_labels_is_the_curvature(rng):
    """Fisher's identity: in the logits, ``E[g g'] = diag(p) - p p'``, the Hessian of the cross-entropy."""
    logits = np.broadcast_to(rng.normal(0, 1, 4), (100_000, 1, 1, 4))
    _, made = CrossEntropy(drawn_labels(logits))({"y": logits}, ALL)
    gradient = made["y"].reshape(-1, 4)
    p = np.exp(logits[0, 0, 0]) / np.exp(logits[0, 0, 0]).sum()
    np.testing.assert_allclose(gradient.T @ gradient / len(gradient), np.diag(p) - np.outer(p, p), atol=0.01)


def test_drawn_targets_have_unit_variance(rng):
    outputs = rng.normal(3, 2, (50, 10, 10, 4))
    noise = drawn_targets(outputs, seed=1) - outputs
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert noise.var() == pytest.approx(1, abs=0.05)
