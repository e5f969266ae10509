"""Pre-training around Emotion2Vec-S: EMA teacher, masked student, decoder."""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from speechbrain_c2ser.host import on_both
from speechbrain_c2ser.lobes.emotion2vec.masking import (
    ConvDecoder,
    block_mask,
    kept_positions,
    masked_counts,
    masked_positions,
)
from speechbrain_c2ser.lobes.padding import frame_mask, instance_norm, time_mean


class PretrainingOutput(NamedTuple):
    """What the losses need. M masked frames, N = batch x clones, D dims.

    ``utterance_vectors`` go to the category loss, ``class_logits`` [N, L] to
    the auxiliary head's cross-entropy (None without a head).
    """

    frame_predictions: torch.Tensor  # [M, D]
    frame_targets: torch.Tensor  # [M, D]
    utterance_predictions: torch.Tensor  # [N, D]
    utterance_targets: torch.Tensor  # [N, D]
    utterance_vectors: torch.Tensor  # [N, D]
    class_logits: torch.Tensor | None  # [N, L]


class CollapseError(RuntimeError):
    """Targets or predictions have become (nearly) constant."""


class Emotion2VecPretraining(nn.Module):
    """Student, EMA teacher and decoder of Emotion2Vec-S's pre-training.

    The teacher sees the whole utterance; several masked clones of it go
    through the student, which encodes only the frames left over; a small
    convolutional decoder predicts the teacher at the masked frames. Only the
    main transformer blocks have an EMA copy: what lies below them is the
    student's own. Source: data2vec 2.0 and emotion2vec's trained settings.

    Arguments
    ---------
    encoder : Emotion2VecS
        The student, the only part that is kept afterwards.
    average_top_k_layers : int
        Targets are the mean of this many last blocks' MLP outputs.
    clone_batch : int
        Masked clones per utterance.
    mask_prob : float
        Share of an utterance's frames that is masked.
    mask_prob_adjust : float
        Added to mask_prob for the number of blocks drawn, since they overlap.
    mask_length : int
        Frames (20 ms each) per block.
    mask_noise_std : float
        Deviation of the noise that stands for masked frames in the decoder.
    decoder_size : int
        Channels of the decoder.
    decoder_depth : int
        Convolutions of the decoder.
    decoder_kernel : int
        Frames per convolution, odd.
    decoder_groups : int
        Groups per convolution.
    decoder_dropout : float
        Dropout of the frames that the decoder is given.
    ema_decay : float
        Teacher's decay at the start.
    ema_end_decay : float
        Teacher's decay after the annealing.
    ema_anneal : float
        Share of the training after which the end decay is reached.
    utterance_target : str
        "layer_norm": time-mean of the blocks' outputs, then a LayerNorm.
        "instance_norm": time-mean of the frame targets, the literal reading
        of the paper; instance norm over time makes it zero for everyone.
    pooling : str
        Source of the utterance vector: mean of "tokens" or of "frames".
    num_classes : int | None
        Size of the auxiliary head (D, D, D/2, classes); None = no head.
    head_dropout : float
        Dropout of the auxiliary head.
    min_target_variance : float
        Below this mean variance of the targets, `check_collapse` stops.
    min_prediction_variance : float
        The same for the predictions.

    Raises
    ------
    ValueError
        If a setting is impossible for this encoder.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import Emotion2VecS
    >>> encoder = Emotion2VecS(
    ...     embed_dim=16, num_heads=2, prenet_depth=1, depth=1,
    ...     conv_layers=[[8, 10, 5], [8, 8, 8], [8, 8, 8]], conv_pos_groups=2,
    ... )
    >>> model = Emotion2VecPretraining(
    ...     encoder, average_top_k_layers=1, clone_batch=2,
    ...     decoder_size=16, decoder_groups=2,
    ... )
    >>> output = model(torch.randn(3, 16000))
    >>> output.utterance_vectors.shape
    torch.Size([6, 16])
    >>> output.frame_predictions.shape == output.frame_targets.shape
    True
    """

    def __init__(
        self,
        encoder,
        average_top_k_layers: int = 8,
        clone_batch: int = 8,
        mask_prob: float = 0.5,
        mask_prob_adjust: float = 0.05,
        mask_length: int = 5,
        mask_noise_std: float = 0.01,
        decoder_size: int = 384,
        decoder_depth: int = 4,
        decoder_kernel: int = 7,
        decoder_groups: int = 16,
        decoder_dropout: float = 0.1,
        ema_decay: float = 0.999,
        ema_end_decay: float = 0.99999,
        ema_anneal: float = 0.2,
        utterance_target: str = "layer_norm",
        pooling: str = "tokens",
        num_classes: int | None = None,
        head_dropout: float = 0.5,
        min_target_variance: float = 0.01,
        min_prediction_variance: float = 0.0001,
    ):
        super().__init__()
        depth = len(encoder.blocks)
        if not 1 <= average_top_k_layers <= depth:
            raise ValueError(
                f"average_top_k_layers must lie in 1..{depth} (the encoder's "
                f"depth), got {average_top_k_layers}."
            )
        if utterance_target not in ("layer_norm", "instance_norm"):
            raise ValueError(
                "utterance_target must be layer_norm or instance_norm, got "
                f"{utterance_target!r}."
            )
        if pooling not in ("tokens", "frames"):
            raise ValueError(
                f"pooling must be tokens or frames, got {pooling!r}."
            )
        if not 0 < mask_prob < 1:
            raise ValueError(f"mask_prob must lie in (0, 1), got {mask_prob}.")
        size = encoder.embed_dim
        self.encoder = encoder
        self.average_top_k_layers = average_top_k_layers
        self.clone_batch = clone_batch
        self.mask_prob = mask_prob
        self.mask_prob_adjust = mask_prob_adjust
        self.mask_length = mask_length
        self.mask_noise_std = mask_noise_std
        self.decoder_dropout = decoder_dropout
        self.ema_decay = ema_decay
        self.ema_end_decay = ema_end_decay
        self.ema_anneal = ema_anneal
        self.utterance_target = utterance_target
        self.pooling = pooling
        self.min_target_variance = min_target_variance
        self.min_prediction_variance = min_prediction_variance
        self.decoder = ConvDecoder(
            size, decoder_size, decoder_depth, decoder_kernel, decoder_groups
        )
        self.head = None
        if num_classes is not None:
            self.head = nn.Sequential(
                nn.Linear(size, size),
                nn.GELU(),
                nn.Dropout(head_dropout),
                nn.Linear(size, size // 2),
                nn.GELU(),
                nn.Dropout(head_dropout),
                nn.Linear(size // 2, num_classes),
            )
        self.teacher = copy.deepcopy(encoder.blocks)
        self.teacher.requires_grad_(False).eval()

    def train(self, mode=True):
        """Set the mode of all but the teacher, which never drops anything."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> PretrainingOutput:
        """One pass of teacher and student.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms [B, samples], 16 kHz.
        wav_lens : torch.Tensor | None
            Relative lengths [B] in (0, 1].

        Returns
        -------
        PretrainingOutput
            Predictions and targets; clones of an utterance are neighbours
            (repeat labels with ``repeat_interleave(clone_batch)``).
        """
        features, lengths = self.encoder.frontend(wavs, wav_lens)
        frame_targets, utterance_targets = self.make_targets(features, lengths)

        features = features.repeat_interleave(self.clone_batch, 0)
        lengths = on_both(
            lambda frames: frames.repeat_interleave(self.clone_batch, 0),
            lengths,
        )
        mask = block_mask(
            lengths,
            features.shape[1],
            self.mask_prob,
            self.mask_length,
            self.mask_prob_adjust,
        )
        masked = masked_counts(lengths, self.mask_prob)
        keep_indices = kept_positions(mask, lengths, masked)
        # zeroed, so that the positional convolutions cannot see them either
        features = features.masked_fill(mask.unsqueeze(-1), 0.0)
        frames, tokens, _ = self.encoder.contextualise(
            features, lengths, keep_indices=keep_indices
        )
        given = F.dropout(frames, self.decoder_dropout, self.training)
        decoded = self.decoder(self._refill(given, keep_indices, mask), lengths)

        frame_targets = frame_targets.repeat_interleave(self.clone_batch, 0)
        utterance_targets = utterance_targets.repeat_interleave(
            self.clone_batch, 0
        )
        token_mean = tokens.float().mean(1)
        if self.pooling == "tokens":
            vectors = token_mean
        else:
            kept = (keep_indices >= 0).sum(1, keepdim=True)
            vectors = frames.float().sum(1) / kept  # empty slots are zero
        places = masked_positions(mask, masked)
        return PretrainingOutput(
            frame_predictions=decoded.flatten(0, 1)[places].float(),
            frame_targets=frame_targets.flatten(0, 1)[places],
            utterance_predictions=token_mean,
            utterance_targets=utterance_targets,
            utterance_vectors=vectors,
            class_logits=None if self.head is None else self.head(vectors),
        )

    @torch.no_grad()
    def make_targets(
        self, features: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's view of the unmasked utterances.

        Arguments
        ---------
        features : torch.Tensor
            Output of the encoder's front end [B, T, D].
        lengths : torch.Tensor
            Frames per utterance [B].

        Returns
        -------
        frame_targets : torch.Tensor
            [B, T, D] float32, zero on padding.
        utterance_targets : torch.Tensor
            [B, D] float32.
        """
        was_training = self.encoder.training
        self.encoder.eval()  # the prenet is shared: no dropout in the targets
        _, _, layers = self.encoder.contextualise(
            features, lengths, all_layers=True, blocks=self.teacher
        )
        self.encoder.train(was_training)
        skip = self.encoder.num_tokens
        layers = layers[-self.average_top_k_layers :]
        layers = [layer[:, skip:].float() for layer in layers]
        valid = frame_mask(lengths, features.shape[1]).unsqueeze(-1)
        frame_targets = sum(
            instance_norm(layer, valid) for layer in layers
        ) / len(layers)
        if self.utterance_target == "instance_norm":
            return frame_targets, time_mean(frame_targets, valid)
        utterance = sum(time_mean(layer, valid) for layer in layers)
        return frame_targets, F.layer_norm(utterance, utterance.shape[-1:])

    def _refill(self, frames, keep_indices, mask):
        """Put the encoded frames back in place, noise where one is masked."""
        batch, time = mask.shape
        filled = frames.new_zeros(batch, time + 1, frames.shape[-1])
        noise = torch.randn_like(filled) * self.mask_noise_std
        filled = torch.where(F.pad(mask, (0, 1)).unsqueeze(-1), noise, filled)
        # the empty slots of shorter utterances go to a spare last row
        places = torch.where(keep_indices < 0, time, keep_indices)
        places = places.unsqueeze(-1).expand_as(frames)
        return filled.scatter(1, places, frames)[:, :time]

    def teacher_decay(self, progress):
        """The EMA decay at a share of the training in [0, 1]."""
        annealed = min(1.0, progress / self.ema_anneal)
        return self.ema_decay + annealed * (self.ema_end_decay - self.ema_decay)

    @torch.no_grad()
    def update_teacher(self, progress: float) -> None:
        """Move the teacher towards the student; call once per update.

        Arguments
        ---------
        progress : float
            Share of the training that is done, in [0, 1].
        """
        torch._foreach_lerp_(
            list(self.teacher.parameters()),
            list(self.encoder.blocks.parameters()),
            1.0 - self.teacher_decay(progress),
        )

    @torch.no_grad()
    def reset_teacher(self) -> None:
        """Make the teacher a copy of the student, e.g. after loading it."""
        self.teacher.load_state_dict(self.encoder.blocks.state_dict())

    @torch.no_grad()
    def variances(self, output: PretrainingOutput) -> dict[str, torch.Tensor]:
        """Mean over the dimensions of the variance over rows, for the log.

        Arguments
        ---------
        output : PretrainingOutput
            What `forward` returned.

        Returns
        -------
        dict
            "target_variance", "prediction_variance" over masked frames and
            "utterance_variance" of the pooled vectors over the batch.
        """
        rows = {
            "target_variance": output.frame_targets,
            "prediction_variance": output.frame_predictions,
            "utterance_variance": output.utterance_vectors,
        }
        return {
            name: x.float().var(0, unbiased=False).mean()
            for name, x in rows.items()
        }

    def check_collapse(self, variances: dict) -> None:
        """Stop a training whose targets or predictions became constant.

        Arguments
        ---------
        variances : dict
            What `variances` returned.

        Raises
        ------
        CollapseError
            If a variance is below its limit.
        """
        for name, limit in (
            ("target_variance", self.min_target_variance),
            ("prediction_variance", self.min_prediction_variance),
        ):
            if not variances[name] >= limit:  # also true for NaN
                raise CollapseError(
                    f"The model has collapsed: {name} is "
                    f"{variances[name]:.2g}, below the limit {limit:.2g}; "
                    "lower the learning rate or raise ema_decay."
                )
