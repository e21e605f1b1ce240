import numpy as np
import torch

from unclip_pipeline.metrics.copies import Group, copy_metrics, nearest_table, search
from unclip_pipeline.metrics.memorisation import embedding_vectors


def _vectors(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 6))


TRAINING = _vectors(800, 0)


def _group(samples, reference, own):
    return Group(embedding_vectors(samples), embedding_vectors(reference), np.asarray(own))


def _measure(groups):
    found = search(groups, embedding_vectors(TRAINING).split(300, dim=1), k=3)
    return found, copy_metrics(found, found, false_positive_rate=0.05, extractor="clip")


def test_a_model_that_copies_for_training_captions_is_seen_there_and_only_there():
    groups = {
        "heldout": _group(_vectors(100, 1), _vectors(200, 2), np.full(200, -1)),
        "seen": _group(TRAINING[:100] + 1e-3, TRAINING[100:300], np.arange(100, 300)),
    }
    found, figures = _measure(groups)
    assert figures["copies_tiles_seen_excess"].low > 0.8
    assert figures["copies_ratio_seen_excess"].low > 0.8
    assert figures["copies_tiles_heldout_excess"].low <= 0
    assert figures["copies_tiles_seen_nearer_p"] < 1e-6 < figures["copies_tiles_heldout_nearer_p"]
    assert (found["seen"].samples.rows[:, 0] == np.arange(100)).all()


def test_training_pictures_as_reference_do_not_find_themselves():
    groups = {"seen": _group(_vectors(50, 3), TRAINING[:100], np.arange(100))}
    found, figures = _measure(groups)
    assert (found["seen"].reference.rows[:, 0] != np.arange(100)).all()
    assert found["seen"].reference.distances.min() > 1e-3
    assert figures["copies_clip_seen_reference"].value <= 0.05


def test_the_table_names_training_pictures_nearest_first():
    group = _group(TRAINING[[7, 9]], _vectors(40, 4), np.full(40, -1))
    found, _ = _measure({"heldout": group})
    uids = np.array([f"uid{row}" for row in range(len(TRAINING))])
    table = nearest_table(["a", "b"], uids, found["heldout"].samples, "clip")
    assert table.loc[table["rank"] == 1, "uid"].tolist() == ["uid7", "uid9"]
    assert table["sample"].tolist() == ["a"] * 3 + ["b"] * 3
    assert torch.as_tensor(table["distance"].to_numpy().reshape(2, 3)).diff(dim=1).min() >= 0
