"""Train only the rows of the token table that a corpus uses.

A token that never occurs gets no gradient, so its row stays at its initial value whatever the table's size: leaving
such rows out of training is exact (without weight decay on the table) and saves the optimizer, the moving average and
the gradient some 49,000 rows each step.
"""

import torch
from jaxtyping import Int
from torch import Tensor, nn


class UsedTokens:
    """The token ids a corpus uses, renumbered by rank: the end-of-text token stays the highest."""

    def __init__(self, tokens: Int[Tensor, "n l"]):
        self.ids: Int[Tensor, " v"] = torch.unique(tokens)

    def compact(self, tokens: Int[Tensor, "n l"]) -> Int[Tensor, "n l"]:
        """Renumber tokens; every one must be of the corpus."""
        return torch.searchsorted(self.ids, tokens.contiguous())

    def shrink(self, table: nn.Embedding) -> nn.Embedding:
        """Take the used rows out of a table, as one to be trained."""
        return nn.Embedding.from_pretrained(table.weight.detach()[self.ids].clone(), freeze=False)

    def restore(self, table: nn.Embedding, trained: nn.Embedding) -> nn.Embedding:
        """Put trained rows back into a copy of the whole table."""
        weight = table.weight.detach().clone()
        weight[self.ids] = trained.weight.detach()
        return nn.Embedding.from_pretrained(weight, freeze=False)
