"""Train only the rows of the token table that a corpus uses.

A token that never occurs gets no gradient: its row stays at its initial value whatever else is trained.
Leaving such rows out changes nothing that can be read from the model and saves gradient, optimizer and
moving average some 49,000 rows in every step.
"""

import torch
from jaxtyping import Int
from torch import Tensor, nn


class UsedTokens:
    """The token ids of a corpus, renumbered by rank: the end-of-text token stays the highest."""

    def __init__(self, tokens: Int[Tensor, "n l"]) -> None:
        self.ids: Int[Tensor, " v"] = torch.unique(tokens)

    def compact(self, tokens: Int[Tensor, "n l"]) -> Int[Tensor, "n l"]:
        """Renumber tokens; every one must be of the corpus."""
        return torch.searchsorted(self.ids, tokens.contiguous(), out_int32=True)

    def shrink(self, table: nn.Embedding) -> nn.Embedding:
        """Take the used rows out of a table, to be trained."""
        return nn.Embedding.from_pretrained(table.weight.detach()[self.ids].clone(), freeze=False)

    def restore(self, table: nn.Embedding, trained: nn.Embedding) -> nn.Embedding:
        """Put trained rows back into a copy of the whole table."""
        weight = table.weight.detach().clone()
        weight[self.ids] = trained.weight.detach()
        return nn.Embedding.from_pretrained(weight, freeze=False)
