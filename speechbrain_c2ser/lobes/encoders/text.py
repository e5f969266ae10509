"""Words of a manifest row as features: any text encoder of Hugging Face."""

from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HUB_CACHE
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoTokenizer

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.encoders.features import SpeechFeatures
from speechbrain_c2ser.lobes.padding import frame_mask
from speechbrain_c2ser.lobes.pretrained_files import check_pretrained
from speechbrain_c2ser.lobes.pretrained_sizes import reading_weights


@remember_arguments
class TextEncoder(nn.Module):
    """Frames of what is said, a token each, beside a speech encoder's.

    An item without words is one learned frame: in training a share of the
    items is made so (modality dropout), so that the model works without a
    transcript too.

    Arguments
    ---------
    source : str
        Folder or hub name of a BERT, RoBERTa, XLM-R, MPNet, T5, Qwen2 ...
        with safetensors; of an encoder and decoder the encoder is taken.
    output_size : int
        Channels that the tokens are projected to.
    key : str
        Field of a row: "transcript", or "transcript_asr".
    drop : float
        Share of the training items that lose their words. Above 0, a row
        without words is no error.
    freeze : bool
        No gradients to the encoder, and eval mode even under ``train()``; the
        projection is trained.
    max_tokens : int
        Longer texts are cut.
    layer : int | None
        Hidden states that are read, as a probe of a language model's layers
        does: 0 are the embeddings, the layers follow; None = the last, after
        the model's final norm.
    pretrained : bool
        False reads only configuration and tokenizer and leaves the weights
        random: for a checkpoint that is loaded over them.
    save_path : str | None
        Download cache; None is Hugging Face's own.

    Raises
    ------
    ValueError
        For a damaged folder, one without safetensors, a share that is none,
        or a layer that the model does not have.

    Example
    -------
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import BertConfig, PreTrainedTokenizerFast
    >>> folder = Path(getfixture("tmpdir"))
    >>> words = models.WordLevel({"[PAD]": 0, "oh": 1, "no": 2}, "[PAD]")
    >>> words = Tokenizer(words)
    >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> words = PreTrainedTokenizerFast(
    ...     tokenizer_object=words, pad_token="[PAD]"
    ... )
    >>> _ = words.save_pretrained(folder)
    >>> BertConfig(
    ...     vocab_size=6, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=8,
    ... ).save_pretrained(folder)
    >>> encoder = TextEncoder(str(folder), 4, pretrained=False).eval()
    >>> words = encoder.read([{"transcript": "oh no"}, {"transcript": "oh"}])
    >>> words.frames.shape, words.lengths
    (torch.Size([2, 2, 4]), tensor([2, 1]))
    """

    def __init__(
        self,
        source: str,
        output_size: int,
        key: str = "transcript",
        drop: float = 0.0,
        freeze: bool = True,
        max_tokens: int = 128,
        layer: int | None = None,
        pretrained: bool = True,
        save_path: str | None = None,
    ):
        super().__init__()
        if not 0 <= drop < 1:
            raise ValueError(f"drop is a share from 0 to below 1, not {drop}.")
        save_path = save_path or str(HF_HUB_CACHE)
        check_pretrained(source, save_path)
        self.tokenizer = _tokenizer(source, save_path)
        if pretrained:
            try:
                with reading_weights(source):
                    model = AutoModel.from_pretrained(
                        source,
                        cache_dir=save_path,
                        use_safetensors=True,
                        trust_remote_code=False,
                    )
            except OSError as error:
                raise ValueError(
                    f"{source} has no safetensors to load as a text encoder: "
                    f"{' '.join(str(error).split())}"
                ) from error
        else:
            config = AutoConfig.from_pretrained(
                source, cache_dir=save_path, trust_remote_code=False
            )
            model = AutoModel.from_config(config, trust_remote_code=False)
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        # Transformers loads in the file's own type, which may be fp16.
        self.model = model.float()
        self.key, self.drop, self.freeze = key, drop, freeze
        self.max_tokens, self.layer = max_tokens, layer
        self.output_size = output_size
        sizes = model.config.get_text_config()
        width, count = sizes.hidden_size, sizes.num_hidden_layers
        if layer is not None and not 0 <= layer <= count:
            raise ValueError(
                f"The text encoder of {source} has {count} layers: set layer "
                f"to one of 0 (the embeddings) to {count}, not {layer}."
            )
        self.project = nn.Linear(width, output_size)
        self.absent = nn.Parameter(torch.zeros(output_size))
        if freeze:
            self.model.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "TextEncoder":
        """Sets the mode; a frozen encoder stays in eval."""
        super().train(mode)
        self.model.train(mode and not self.freeze)
        return self

    def check(self, rows: Sequence[dict]) -> None:
        """Refuses rows without words where that is an error.

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows.

        Raises
        ------
        ValueError
            Names the field and the first row without it.
        """
        without = [row for row in rows if not self._words(row)]
        if without and not self.drop:
            name = without[0].get("id") or without[0].get("wav")
            raise ValueError(
                f"{len(without)} of {len(rows)} items have no {self.key!r}, "
                f"which the text encoder reads (the first: {name!r}): give it, "
                "or train with a drop above 0."
            )

    def read(self, rows: Sequence[dict]) -> SpeechFeatures:
        """Encodes the words of a batch; an item as if it were alone.

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows.

        Returns
        -------
        SpeechFeatures
            Frames [B, tokens, output_size], zero where padded; lengths.

        Raises
        ------
        ValueError
            As :meth:`check`.
        """
        self.check(rows)
        device = self.absent.device
        texts = [self._words(row) for row in rows]
        tokens = self._tokens(texts)
        given = [i for i, own in enumerate(tokens) if own]
        lengths = torch.ones(len(rows), dtype=torch.long, device=device)
        frames = self.absent.expand(len(rows), 1, -1)
        if given:
            encoded, counts = self._encode([tokens[i] for i in given])
            places = torch.tensor(given, device=device)
            lengths = lengths.index_copy(0, places, counts)
            # The one learned frame, unless there are words.
            frames = F.pad(frames, (0, 0, 0, encoded.shape[1] - 1))
            frames = frames.index_copy(0, places, encoded.to(frames.dtype))
        return SpeechFeatures(frames, lengths)

    def lose_some(self, words: SpeechFeatures) -> SpeechFeatures:
        """In training takes the words of some items away.

        Arguments
        ---------
        words : SpeechFeatures
            Of :meth:`read`.

        Returns
        -------
        SpeechFeatures
            Some of them one learned frame; in eval as they were.
        """
        if not (self.training and self.drop):
            return words
        lost = torch.rand(len(words.frames)) < self.drop
        lost = lost.to(words.frames.device)
        nothing = F.pad(
            self.absent.expand(len(lost), 1, -1),
            (0, 0, 0, words.frames.shape[1] - 1),
        )
        frames = torch.where(lost.view(-1, 1, 1), nothing, words.frames)
        lengths = words.lengths.masked_fill(lost, 1)
        return SpeechFeatures(frames, lengths)

    def save_config(self, folder: str | Path) -> None:
        """Writes what ``TextEncoder(..., pretrained=False)`` reads.

        Arguments
        ---------
        folder : str | Path
            Receives ``config.json`` and the tokenizer's files.
        """
        self.model.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _words(self, row):
        return str(row.get(self.key) or "").strip()

    def _tokens(self, texts):
        """Of each text; none of what has no words that it knows."""
        return self.tokenizer(
            texts, truncation=True, max_length=self.max_tokens
        )["input_ids"]

    def _encode(self, listed):
        tokens = self.tokenizer.pad(
            {"input_ids": listed}, return_tensors="pt"
        ).to(self.absent.device)
        counts = tokens["attention_mask"].sum(1)
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and not self.freeze
        ):
            outputs = self.model(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                output_hidden_states=self.layer is not None,
            )
        states = outputs.last_hidden_state
        if self.layer is not None:
            states = outputs.hidden_states[self.layer]
        mask = frame_mask(counts, states.shape[1]).unsqueeze(-1)
        return self.project(states) * mask, counts


def _tokenizer(source, save_path):
    tokenizer = AutoTokenizer.from_pretrained(
        source, cache_dir=save_path, trust_remote_code=False
    )
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
