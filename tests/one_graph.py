"""Small networks of each kind with what they are asked. Run as a script: each compiled as one graph.

A process of its own, as the checks of types in tests are no code a compiler reads.
"""

import torch

from networks import awake, noise
from unclip_pipeline.models.condition import Condition
from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig

SIZES = dict(side_px=16, channels=(16, 32), head_width=16, norm_groups=8)
MASK = torch.tensor([[True, True, False], [True, True, True]])


def prior():
    model = awake(Prior(PriorConfig(width=32, layers=2, text_tokens=True), embedding_width=8, text_width=12))
    text = Text(noise(2, 8, seed=1), noise(2, 3, 12, seed=2), MASK)
    return model, (noise(2, 8), torch.tensor([5, 700]), text)


def decoder():
    config = UnetConfig(**SIZES, attention=(True, True), text_tokens=True, learned_variance=True)
    told = Condition(noise(2, 8, seed=1), noise(2, 8, seed=2), noise(2, 3, 12, seed=3), MASK)
    model = awake(Unet(config, embedding_width=8, text_width=12))
    return model, (noise(2, 3, 16, 16), torch.tensor([5, 700]), told)


def upsampler():
    config = UnetConfig(**SIZES, attention=(False, False), low_side_px=8, told_noise=True, unshuffle=2)
    told = Condition(low_res=noise(2, 3, 16, 16, seed=1), low_noise=torch.tensor([0.0, 0.5]))
    return awake(Unet(config)), (noise(2, 3, 16, 16), torch.tensor([5, 700]), told)


NETWORKS = [prior, decoder, upsampler]


def main() -> None:
    """Compare each network with its compiled self, forwards and backwards."""
    for network in NETWORKS:
        model, asked = network()
        parameters, answers, gradients = list(model.parameters()), [], []
        for form in (model, torch.compile(model, backend="aot_eager", fullgraph=True)):
            answers.append(form(*asked))
            square = answers[-1].square().mean()
            gradients.append(torch.autograd.grad(square, parameters, allow_unused=True))
        torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-5)
        for plain, compiled in zip(*gradients, strict=True):
            assert (plain is None) == (compiled is None)
            if plain is not None:
                torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-4)
        print(network.__name__)


if __name__ == "__main__":
    main()
