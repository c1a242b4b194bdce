"""Makes `app/security/guard/classifier.bin`: `python -m evals.injection.train`. Plain Python, some seconds; same data, same file.

Logistic regression by AdaGrad over the windows that the classifier reads. The threshold is where 0.35 % of the benign
validation texts are flagged, less than half of the limit that is measured later, on other texts.
"""

import math
import random
from struct import pack

from app.security.guard import classifier
from evals.injection.sets import training

EPOCHS = 8
RATE = 0.35
FLAGGED = 0.0035  # share of benign validation texts over the threshold: less than half of what the gate allows
SEED = 7

Examples = list[tuple[list[list[int]], bool]]


def main() -> None:
    """Train and write."""
    learn: Examples = []
    tune: Examples = []
    for source, text, is_attack in training():
        if found := [sorted(window) for window in classifier.features(text)]:
            (tune if source.endswith("validation") else learn).append((found, is_attack))
    weights, bias = fit(learn)
    scores = sorted(max(_score(window, weights) for window in found) for found, is_attack in tune if not is_attack)
    threshold = scores[-max(1, math.ceil(FLAGGED * len(scores)))]
    caught = [max(_score(window, weights) for window in found) > threshold for found, is_attack in tune if is_attack]
    write(weights, -threshold)
    print(f"{len(learn)} texts learned (bias {bias:.2f}); threshold {threshold:.2f}, at which {FLAGGED:.2%} of {len(scores)}")
    print(f"benign validation texts are flagged and {sum(caught) / len(caught):.1%} of {len(caught)} attacks")


def fit(examples: Examples) -> tuple[list[float], float]:
    """Weights for each bucket, and the bias.

    The classes weigh the same; of a long text one window is learned at a time.
    """
    weights, squares, bias = [0.0] * classifier.BUCKETS, [1e-6] * classifier.BUCKETS, 0.0
    chance = random.Random(SEED)  # noqa: S311 - order of learning
    share = sum(is_attack for _, is_attack in examples) / len(examples)
    for _ in range(EPOCHS):
        chance.shuffle(examples)
        for windows, is_attack in examples:
            window = windows[0] if len(windows) == 1 or chance.random() < 0.5 else chance.choice(windows)
            norm = classifier.norm(len(window))
            guess = 1 / (1 + math.exp(-max(-30.0, min(30.0, bias + _score(window, weights)))))
            error = (guess - is_attack) / (2 * (share if is_attack else 1 - share))
            bias -= 0.01 * error
            gradient = error / norm
            for bucket in window:
                squares[bucket] += gradient * gradient
                weights[bucket] -= RATE * gradient / math.sqrt(squares[bucket])
    return weights, bias


def write(weights: list[float], bias: float) -> None:
    """Eight bits for each weight."""
    scale = max(abs(weight) for weight in weights) / 127
    quantised = bytes(round(weight / scale) + classifier.ZERO for weight in weights)
    classifier.WEIGHTS.write_bytes(pack("<ff", scale, bias) + quantised)


def _score(window: list[int], weights: list[float]) -> float:
    return sum(map(weights.__getitem__, window)) / classifier.norm(len(window))


if __name__ == "__main__":
    main()
