import torch

from unclip_pipeline.seeds import seed_of, seeded, seeded_numpy


def test_the_same_place_draws_the_same_numbers() -> None:
    assert torch.equal(
        torch.rand(5, generator=seeded(1, "prior", 64)), torch.rand(5, generator=seeded(1, "prior", 64))
    )
    assert (seeded_numpy(1, "a").random(5) == seeded_numpy(1, "a").random(5)).all()


def test_another_place_or_seed_draws_others() -> None:
    here = seed_of(0, "prior", 64)
    assert len({here, seed_of(1, "prior", 64), seed_of(0, "prior", 65), seed_of(0, "decoder", 64)}) == 4


def test_places_cannot_run_into_each_other() -> None:
    assert seed_of(0, "a", "bc") != seed_of(0, "ab", "c")
    assert seed_of(0, 1, 23) != seed_of(0, 12, 3)
