"""Which pictures to ask about: where labels help most, each with the chance it had to be drawn.

Systematic sampling with unequal probabilities (Madow, 1949) along an order in which copies are neighbours: the
inclusion probability of every row is exact, and of two neighbours with chances up to 1/2 one at most is drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, Shaped

from unclip_pipeline.seeds import seeded_numpy

LEAF = 64
LEARNT_FROM = 5_000  # rows that a guess at an unlabelled concept is learnt from
FEWEST = 8


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig:
    """How many pictures people are asked about in a round, and how they are shown."""

    labels: int = 200
    random_share: float = 0.25  # of the labels, drawn evenly: they find what no score suspects
    max_chance: float = 0.5  # of a picture to be drawn; at 1/2 copies are not asked about twice
    image_side_px: int = 256
    predictions: bool = True  # show the present verdict to whoever labels: faster, but it leads

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise ValueError(f"annotate.labels must be at least 1, got {self.labels}; try 200")
        if not 0 < self.random_share <= 1:
            raise ValueError(
                f"annotate.random_share must lie in (0, 1], got {self.random_share}: without a random share "
                "no recall can be estimated; try 0.25"
            )
        if not 0 < self.max_chance <= 1:
            raise ValueError(f"annotate.max_chance must lie in (0, 1], got {self.max_chance}; try 0.5")
        if self.image_side_px < 16:
            raise ValueError(f"annotate.image_side_px must be at least 16, got {self.image_side_px}")


def choose(
    uid: Shaped[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    chances: Mapping[str, Float[np.ndarray, " n"]],
    config: AnnotateConfig,
    *,
    seed: int,
    round: int,
) -> pd.DataFrame:
    """Draw pictures to label: uid, inclusion_probability, chosen_for (a concept or "random"), round.

    `chances` gives by concept how likely a picture is thought to show it.
    """
    if not len(uid):
        return pd.DataFrame(columns=["uid", "inclusion_probability", "chosen_for", "round"])
    parts = {"random": np.full(len(uid), config.random_share / len(uid))}
    share = (1 - config.random_share) / max(1, len(chances))
    for concept, chance in chances.items():
        parts[concept] = share * worth(chance)
    size = np.sum(list(parts.values()), axis=0)
    pi = inclusion_probabilities(size, config.labels, config.max_chance)
    drawn = systematic(pi, copies_as_neighbours(vectors), seeded_numpy(seed, "annotate", round).random())
    names = np.array(list(parts), dtype=object)
    chosen = pd.DataFrame(
        {
            "uid": uid[drawn],
            "inclusion_probability": pi[drawn],
            "chosen_for": names[np.argmax([part[drawn] for part in parts.values()], axis=0)],
            "round": round,
        }
    )
    return chosen.sort_values("uid", ignore_index=True)


def worth(chance: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Share interest out over rows, sum 1: half to those in doubt, half to those likely to show the concept."""
    halves = [part / part.sum() for part in (chance * (1 - chance), chance) if part.sum() > 0]
    return np.mean(halves, axis=0) if halves else np.full(len(chance), 1 / len(chance))


def inclusion_probabilities(
    size: Float[np.ndarray, " n"], count: int, most: float = 1.0
) -> Float[np.ndarray, " n"]:
    """Scale sizes to probabilities that sum to `count`, none above `most` unless there are too few rows."""
    n = len(size)
    count = min(count, n)
    most = most if count <= 0.9 * most * n else 1.0
    if count == n:
        return np.ones(n)
    capped = np.zeros(n, bool)
    while True:
        scale = (count - most * capped.sum()) / size[~capped].sum()
        over = ~capped & (scale * size > most)
        if not over.any():
            return np.where(capped, most, scale * size)
        capped |= over


def systematic(
    pi: Float[np.ndarray, " n"], order: Int[np.ndarray, " n"], start: float
) -> Int[np.ndarray, " m"]:
    """Draw rows at equal steps of 1 along the summed probabilities, from a start in [0, 1)."""
    ends = np.cumsum(pi[order])
    count = round(float(ends[-1]))
    ends *= count / ends[-1]
    places = np.searchsorted(ends, start + np.arange(count), side="right")
    return order[np.minimum(places, len(order) - 1)]


def copies_as_neighbours(vectors: Float32[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Order rows so that near ones lie side by side: halved along far apart rows, then chained."""
    order: list[np.ndarray] = []
    waiting = [np.arange(len(vectors))]
    while waiting:
        rows = waiting.pop()
        own = vectors[rows]
        if len(rows) <= LEAF:
            order.append(rows[_chain(own)])
            continue
        first = int(np.argmin(own @ own.mean(axis=0)))
        second = int(np.argmin(own @ own[first]))
        ranked = rows[np.argsort(own @ (own[first] - own[second]), kind="stable")]
        waiting += [ranked[len(rows) // 2 :], ranked[: len(rows) // 2]]
    return np.concatenate(order)


def _chain(vectors: Float32[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Go from row to nearest row that is left."""
    cosines = vectors @ vectors.T
    chain, left = [0], np.ones(len(vectors), bool)
    left[0] = False
    for _ in range(len(vectors) - 1):
        nearest = int(np.argmax(np.where(left, cosines[chain[-1]], -np.inf)))
        chain.append(nearest)
        left[nearest] = False
    return np.array(chain)


def guessed_chance(
    answers: Bool[np.ndarray, " n"], vectors: Float32[np.ndarray, "n d"], *, seed: int
) -> Float[np.ndarray, " n"]:
    """Guess from the answers of a rule how likely each picture shows its concept.

    A linear probe learns the rule's answers on one half and speaks of the other, and the other way round:
    what the rule gets wrong by its words or its threshold stands out among pictures that look alike.
    """
    random = seeded_numpy(seed, "guessed_chance")
    half = random.permutation(len(answers)) % 2 == 0
    chance = np.full(len(answers), answers.mean() if len(answers) else 0.0)
    for learn, speak in ((half, ~half), (~half, half)):
        rows = np.flatnonzero(learn)
        rows = np.sort(random.permutation(rows)[:LEARNT_FROM])
        if min(answers[rows].sum(), (~answers[rows]).sum()) < FEWEST:
            continue
        chance[speak] = learnt_chance(answers[rows], vectors[rows], vectors[speak])
    return chance


def learnt_chance(
    label: Bool[np.ndarray, " m"],
    known: Float32[np.ndarray, "m d"],
    vectors: Float32[np.ndarray, "n d"],
) -> Float[np.ndarray, " n"]:
    """Guess from answers, too few or too rough to judge by, what else may show their concept."""
    from sklearn.linear_model import LogisticRegression

    scale = np.float32(np.sqrt(vectors.shape[1]))
    model = LogisticRegression(C=0.1, solver="newton-cholesky").fit(known * scale, label)
    return model.predict_proba(vectors * scale)[:, 1]
