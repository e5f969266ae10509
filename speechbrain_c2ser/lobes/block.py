"""Modules of torch and SpeechBrain as networks over frames."""

import inspect
from importlib import import_module

import torch
from torch import nn
from torch.nn.utils.rnn import (
    pack_padded_sequence,
    pad_packed_sequence,
    pad_sequence,
)

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_host
from speechbrain_c2ser.lobes.padding import frame_mask

# Whose classes may be named, also by a stranger's model folder: they compute
# with plain arguments and read no files. SpeechBrain's other modules are not
# all so (some download and unpickle).
MODULES = (
    "torch.nn",
    *(
        f"speechbrain.nnet.{name}"
        for name in ("CNN", "RNN", "attention", "linear", "normalization")
    ),
    *(
        f"speechbrain.lobes.models.{name}"
        for name in ("CRDNN", "ContextNet", "ECAPA_TDNN", "ResNet", "Xvector")
    ),
)


@remember_arguments
class Block(nn.Module):
    """Any module of torch or SpeechBrain in a slot, padding left out.

    A recurrent network runs over packed sequences. Of any other module no one
    can say what padding does inside it (reflected ends, a bias behind a
    normalization), so in eval each item runs alone, cut to its length: an
    utterance gives the same answer alone and in any batch. In training the
    batch runs at once, its padding zero and the lengths handed to modules that
    take them, as batch normalization needs several items.

    What gives one vector for an utterance (ECAPA-TDNN, x-vectors) gives one
    frame here, which any pooling passes on.

    Arguments
    ---------
    of : str
        Path of a class, such as ``speechbrain.nnet.RNN.GRU``,
        ``speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN`` or
        ``torch.nn.GRU``; a closed list of modules.
    arguments : dict
        Of its constructor: numbers, texts, lists.
    output_size : int
        Channels that it gives.
    channels_first : bool
        Whether the module takes and gives [B, C, T].

    Raises
    ------
    ValueError
        For a class that is not in the closed list or cannot be built so; in
        ``forward``, where its channels are not ``output_size``.

    Example
    -------
    >>> block = Block("torch.nn.GRU", {"input_size": 4, "hidden_size": 8}, 8)
    >>> frames, lengths = block(torch.rand(2, 5, 4), torch.tensor([5, 3]))
    >>> frames.shape, lengths
    (torch.Size([2, 5, 8]), tensor([5, 3]))
    """

    not_exported = (
        "its module runs over one item at a time; take LogMelCNN, "
        "FrameProjection or no network over frames"
    )

    def __init__(
        self,
        of: str,
        arguments: dict,
        output_size: int,
        channels_first: bool = False,
    ):
        super().__init__()
        kind = find_module(of)
        if not _is_plain(arguments):
            raise ValueError(
                f"The arguments of {of} must be numbers, texts and lists of "
                "them."
            )
        try:
            self.module = kind(**arguments)
        except TypeError as error:
            raise ValueError(f"{of} cannot be built: {error}.") from error
        self.of = of
        self.output_size = output_size
        self.channels_first = channels_first
        taken = inspect.signature(kind.forward).parameters
        self.takes = next((n for n in ("lengths", "lens") if n in taken), None)

    def forward(
        self, frames: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs the module.

        Arguments
        ---------
        frames : torch.Tensor
            [B, T, C].
        lengths : torch.Tensor
            Valid frames of each item, [B].

        Returns
        -------
        frames : torch.Tensor
            [B, T', output_size]; padded frames are zero.
        lengths : torch.Tensor
            Valid frames of each item, [B].
        """
        # SpeechBrain's recurrent networks hold torch's.
        recurrent = getattr(self.module, "rnn", self.module)
        if isinstance(recurrent, nn.RNNBase):
            packed = pack_padded_sequence(
                frames, on_host(lengths), batch_first=True, enforce_sorted=False
            )
            outputs, _ = pad_packed_sequence(
                recurrent(packed)[0], batch_first=True
            )
        elif self.training:
            outputs, lengths = self._together(frames, lengths)
        else:
            outputs, lengths = self._alone(frames, lengths)
        if outputs.shape[-1] != self.output_size:
            raise ValueError(
                f"{self.of} gives {outputs.shape[-1]} channels: set the "
                f"Block's output_size to it (now {self.output_size})."
            )
        return outputs, lengths

    def _together(self, frames, lengths):
        size = frames.shape[1]
        mask = frame_mask(lengths, size).unsqueeze(-1)
        # Relative, as SpeechBrain has it; times the size again it must come
        # out at this length, whether it is rounded or compared.
        relative = (lengths - 0.25) / size
        options = {self.takes: relative} if self.takes else {}
        outputs = self._run(frames * mask, **options)
        # Where the module strides, an item is as long as its share.
        lengths = (lengths * outputs.shape[1] + size - 1) // size
        mask = frame_mask(lengths, outputs.shape[1]).unsqueeze(-1)
        return outputs * mask, lengths

    def _alone(self, frames, lengths):
        outputs = []
        cuda = [frames.device] if frames.device.type == "cuda" else []
        for item, length in zip(frames, on_host(lengths).tolist(), strict=True):
            # SpeechBrain's StatisticsPooling draws noise in eval too: the same
            # for every item, and nobody else's random numbers are used up.
            with torch.random.fork_rng(cuda):
                torch.manual_seed(0)
                outputs.append(self._run(item[None, :length])[0])
        counts = [len(output) for output in outputs]
        padded = pad_sequence(outputs, batch_first=True)
        return padded, torch.tensor(counts, device=frames.device)

    def _run(self, frames, **options):
        """[B, T, C] to [B, T', C'], whatever the module's own layout."""
        x = frames.transpose(1, 2) if self.channels_first else frames
        x = self.module(x, **options)
        x = x[0] if isinstance(x, tuple) else x
        if x.dim() == 2:
            return x.unsqueeze(1)
        return x.transpose(1, 2) if self.channels_first else x


def find_module(path: str) -> type[nn.Module]:
    """A class of the closed list by its path; nothing else is imported.

    Arguments
    ---------
    path : str
        Such as "torch.nn.GRU".

    Returns
    -------
    type[torch.nn.Module]

    Raises
    ------
    ValueError
        For another path.

    Example
    -------
    >>> find_module("torch.nn.GRU").__name__
    'GRU'
    >>> find_module("os.system")
    Traceback (most recent call last):
    ...
    ValueError: A Block is not built of os.system: ...
    """
    module, _, name = str(path).rpartition(".")
    kind = None
    if module in MODULES:
        kind = getattr(import_module(module), name, None)
    # What a module merely imported is not its own.
    defined_in = getattr(kind, "__module__", "")
    if (
        not inspect.isclass(kind)
        or not issubclass(kind, nn.Module)
        or not (
            defined_in == module or defined_in.startswith("torch.nn.modules.")
        )
    ):
        raise ValueError(
            f"A Block is not built of {path}: give a class of "
            f"{', '.join(MODULES)}; for others write a lobe of your own."
        )
    return kind


def _is_plain(value):
    if isinstance(value, dict):
        return all(
            isinstance(k, str) and _is_plain(v) for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)
