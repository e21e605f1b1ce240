"""Numbers to feed networks, and networks whose zero-initialised layers have something to say."""

import torch


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def awake(model: torch.nn.Module, *, std: float = 0.1) -> torch.nn.Module:
    """Give the layers that start at zero something to say, in evaluation mode."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=std)
    return model.eval()
