"""A connector that starts out in the language model's own words."""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask
from speechbrain_c2ser.lobes.speech_llm.connectors import (
    check_width,
    stack_frames,
)


@remember_arguments
class WordConnector(nn.Module):
    """What is heard, as mixtures of words that the language model knows.

    Each group of words (the emotions, low / normal / high pitch ...) has a
    linear softmax over the standardized utterance vectors; the group's
    embedding is the mean of its words' embeddings under these probabilities.
    Neighbouring frames are stacked and projected, and layer-normed to the
    scale of word embeddings. A frozen language model can read both at once;
    a connector from noise it would first have to learn to hear, which some
    hundred recordings do not teach it.

    Words, heads and projection are filled in before the language model is
    trained, by ``recipes/C2SER/train_connector.py``.

    Arguments
    ---------
    input_size : int | None
        Width of the semantic frames; None = there are none.
    output_size : int
        Width of the language model's embeddings.
    utterance_size : int | None
        Width of the utterance vectors; None = there are none, and no groups.
    num_vectors : int | None
        Utterance vectors of an item.
    words : dict[str, list[str]]
        Group -> its words.
    downsample_rate : int
        Frames per embedding; the last ones are filled up with zeros.
    scale : float
        Size of an embedding's values before anything is learned.
    freeze_heads : bool
        Whether the groups' heads stay as they were filled in.
    sharpness : float
        Multiplies the heads' scores where words are mixed. On its training
        recordings a head is always sure: over 1, it sounds as sure of others,
        and the language model, which has only read sure words, overrules it
        less. :meth:`scores` stay calibrated.
    dropout : float
        Dropout on the frames. On its training recordings the projection
        hardly errs either: without noise, the language model learns to copy
        it and repeats its errors on other recordings.
    augment : torch.nn.Module | None
        ``(frames, lengths) -> frames``, applied in training mode, such as
        :class:`SpecAugment`.
    stretch : torch.nn.Module | None
        ``(frames, lengths) -> (frames, lengths)``, before ``augment``, such
        as :class:`TimeStretch`.
    hidden_size : int | None
        Width of a hidden layer in the projection, with GELU and the same
        dropout; None = a linear projection.

    Example
    -------
    >>> connector = WordConnector(
    ...     16, 24, utterance_size=12, num_vectors=2,
    ...     words={"emotion": ["sad", "happy"], "pitch": ["low", "high"]},
    ... )
    >>> frames, lengths = torch.randn(2, 40, 16), torch.tensor([40, 9])
    >>> vectors = torch.randn(2, 2, 12)
    >>> embeddings, lengths = connector(frames, lengths, vectors)
    >>> embeddings.shape, lengths
    (torch.Size([2, 12, 24]), tensor([12,  5]))
    """

    in_fp32 = ("heads",)  # of what the words are

    def __init__(
        self,
        input_size,
        output_size,
        utterance_size,
        num_vectors,
        words,
        downsample_rate=4,
        scale=0.02,
        freeze_heads=True,
        sharpness=1.0,
        dropout=0.0,
        augment=None,
        stretch=None,
        hidden_size=None,
    ):
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size
        self.utterance_size = utterance_size
        self.num_vectors = num_vectors
        groups = {} if utterance_size is None else words
        self.words = {group: list(names) for group, names in groups.items()}
        self.downsample_rate = downsample_rate
        self.sharpness = sharpness
        self.dropout = nn.Dropout(dropout)
        self.augment = augment
        self.stretch = stretch
        flat = (num_vectors or 0) * (utterance_size or 0)
        self.register_buffer("mean", torch.zeros(flat))
        self.register_buffer("deviation", torch.ones(flat))
        self.heads = nn.ModuleDict(
            {
                group: nn.Linear(flat, len(names))
                for group, names in self.words.items()
            }
        ).requires_grad_(not freeze_heads)
        if input_size is not None:
            self.projection = _projection(
                downsample_rate * input_size, output_size, hidden_size, dropout
            )
            self.norm = nn.LayerNorm(output_size)
            nn.init.constant_(self.norm.weight, scale)
        for group, names in self.words.items():
            embeddings = scale * torch.randn(len(names), output_size)
            self.register_buffer(f"words_{group}", embeddings)

    def forward(self, frames=None, lengths=None, utterance_vectors=None):
        """Groups' embeddings, then frames, for the language model.

        Arguments
        ---------
        frames : torch.Tensor | None
            Semantic frames [B, T, input_size].
        lengths : torch.Tensor | None
            Their valid counts [B]; needed with ``frames``.
        utterance_vectors : torch.Tensor | None
            [B, num_vectors, utterance_size].

        Returns
        -------
        embeddings : torch.Tensor
            [B, groups + shorter T, output_size], padding zero.
        lengths : torch.Tensor
            Valid embeddings [B].

        Raises
        ------
        ValueError
            When both inputs are None or a width is not the one built for.
        """
        if frames is None and utterance_vectors is None:
            raise ValueError(
                "A connector needs frames, utterance vectors or both; got "
                "neither."
            )
        parts, counts = [], 0
        if utterance_vectors is not None:
            parts.append(self.read_words(utterance_vectors))
            counts = counts + len(self.words)
        if frames is not None:
            words, lengths = self.read_frames(frames, lengths)
            parts.append(words)
            counts = counts + lengths
        x = torch.cat(parts, 1)
        if frames is None:
            counts = torch.full(x.shape[:1], counts, device=x.device)
        return x * frame_mask(counts, x.shape[1]).unsqueeze(2), counts

    def read_words(self, utterance_vectors):
        """One embedding for each group [B, groups, output_size]."""
        mixed = []
        for group, scores in self.scores(utterance_vectors).items():
            shares = (self.sharpness * scores).softmax(-1)
            mixed.append(shares @ getattr(self, f"words_{group}"))
        return torch.stack(mixed, 1)

    def scores(self, utterance_vectors):
        """Group -> scores of its words [B, W], in float32."""
        shape = tuple(utterance_vectors.shape[1:])
        if shape != (self.num_vectors, self.utterance_size):
            raise ValueError(
                f"The connector was built for {self.num_vectors} utterance "
                f"vectors of {self.utterance_size} values, but got {shape}."
            )
        with torch.autocast(utterance_vectors.device.type, enabled=False):
            x = utterance_vectors.float().flatten(1)
            x = (x - self.mean) / self.deviation
            return {group: head(x) for group, head in self.heads.items()}

    def read_frames(self, frames, lengths):
        """Frames as embeddings [B, shorter T, output_size], and lengths."""
        check_width(frames, self.input_size, "Semantic frames")
        if self.stretch is not None and self.training:
            frames, lengths = self.stretch(frames, lengths)
        if self.augment is not None and self.training:
            frames = self.augment(frames, lengths)
        frames = self.dropout(frames)
        stacked, lengths = stack_frames(frames, lengths, self.downsample_rate)
        return self.norm(self.projection(stacked)), lengths


def _projection(size, output_size, hidden_size, dropout):
    if hidden_size is None:
        return nn.Linear(size, output_size)
    return nn.Sequential(
        nn.Linear(size, hidden_size),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_size, output_size),
    )
