"""A connector of a fixed number of learned queries."""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask
from speechbrain_c2ser.lobes.speech_llm.connectors import (
    check_inputs,
    check_width,
    input_projection,
    join,
    sinusoids,
)


@remember_arguments
class QFormerConnector(nn.Module):
    """Learned queries that attend to what was heard: a Q-Former.

    Any length of speech becomes the same number of embeddings. Frames (with
    sinusoidal positions) and utterance vectors are projected to one width;
    pre-norm layers of self-attention among the queries, cross-attention and
    feed-forward follow, then the projection to the language model (BLIP-2,
    arXiv 2301.12597; for emotion EmoQ).

    Arguments
    ---------
    input_size : int | None
        Width of the semantic frames; None: there are none.
    output_size : int
        Width of the language model's embeddings.
    utterance_size : int | None
        Width of the utterance vectors; None: there are none.
    num_queries : int
        Embeddings of each utterance.
    size : int
        Width of the queries.
    num_layers, num_heads, ffn_size : int
        Of the layers.
    dropout : float
        On each sub-layer's output and in the feed-forward.

    Raises
    ------
    ValueError
        Without any width of an input.

    Example
    -------
    >>> connector = QFormerConnector(
    ...     16, 24, utterance_size=12, num_queries=5, size=8, num_layers=1
    ... )
    >>> frames, lengths = torch.randn(2, 40, 16), torch.tensor([40, 9])
    >>> embeddings, lengths = connector(
    ...     frames, lengths, torch.randn(2, 10, 12)
    ... )
    >>> embeddings.shape, lengths
    (torch.Size([2, 5, 24]), tensor([5, 5]))
    """

    def __init__(
        self,
        input_size: int | None,
        output_size: int,
        utterance_size: int | None = None,
        num_queries: int = 32,
        size: int = 256,
        num_layers: int = 2,
        num_heads: int = 4,
        ffn_size: int = 1024,
        dropout: float = 0.1,
    ):
        super().__init__()
        check_inputs(input_size, utterance_size)
        self.input_size = input_size
        self.output_size = output_size
        self.utterance_size = utterance_size
        self.size = size
        self.frame_projection = input_projection(input_size, size)
        self.utterance_projection = input_projection(utterance_size, size)
        self.memory_norm = nn.LayerNorm(size)
        self.queries = nn.Parameter(torch.empty(num_queries, size))
        nn.init.normal_(self.queries, std=0.02)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                size,
                num_heads,
                ffn_size,
                dropout,
                activation="gelu",
                norm_first=True,
                batch_first=True,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.projection = nn.Linear(size, output_size)

    def forward(
        self,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        utterance_vectors: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`ConnectorTransformer.forward`; all lengths are equal."""
        if frames is not None:
            check_width(frames, self.input_size, "Semantic frames")
            frames = self.frame_projection(frames)  # [B, T, size]
            positions = sinusoids(frames.shape[1], self.size, frames.device)
            frames = frames + positions.to(frames.dtype)
        if utterance_vectors is not None:
            check_width(
                utterance_vectors, self.utterance_size, "Utterance vectors"
            )
            utterance_vectors = self.utterance_projection(utterance_vectors)
        memory, lengths = join(utterance_vectors, frames, lengths)
        memory = self.memory_norm(memory)  # [B, N + T, size]
        padded = ~frame_mask(lengths, memory.shape[1])
        x = self.queries.expand(len(memory), -1, -1)  # [B, Q, size]
        for layer in self.layers:
            x = layer(x, memory, memory_key_padding_mask=padded)
        full = torch.full_like(lengths, x.shape[1])
        return self.projection(self.norm(x)), full
