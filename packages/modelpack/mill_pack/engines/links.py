"""From scores to probabilities, by the libraries' own formulas (scikit-learn 1.9: `_expit`, `softmax`)."""

import numpy as np

from mill_pack.arrays import FloatArray


def expit(scores: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)) without overflow on either side."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def softmax(scores: FloatArray) -> FloatArray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def probabilities(scores: FloatArray) -> FloatArray:
    """(n, 1) scores of the second class, or (n, K), to (n, K) probabilities."""
    if scores.shape[1] > 1:
        return softmax(scores)
    positive = expit(scores[:, 0])
    return np.stack((1.0 - positive, positive), axis=1)
