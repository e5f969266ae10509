"""A ``WordConnector`` is taught the language model's words, before the model.

Heads in closed form on utterance vectors; the frames' projection by CTC, with
the frozen word embeddings as the output layer. Seconds for some hundred
recordings, for the language model itself is not run.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch.nn.functional import ctc_loss, normalize

from speechbrain_c2ser.chain_of_thought.thresholds import (
    MEASURES,
    StyleThresholds,
)
from speechbrain_c2ser.training.closed_form import (
    PENALTIES,
    choose_discriminant,
    held_out,
    ridge,
)

STEEPNESS = 1.7  # of a logistic curve like the normal distribution's
FARTHEST = 3.0  # a single shout must not bend a regression


def teach_heads(connector, language_model, items, vectors, label_space):
    """Fill in a connector's words and heads.

    Arguments
    ---------
    connector : speechbrain_c2ser.lobes.WordConnector
        Its groups are of "emotion", "speed", "pitch" and "volume"; a style's
        words go from low over normal to high.
    language_model : speechbrain_c2ser.lobes.LanguageModel
        Whose word embeddings are taken.
    items : list of dict
        Training rows with emotion, speaker and prosody.
    vectors : torch.Tensor
        Their utterance vectors [N, V, C].
    label_space : speechbrain_c2ser.labels.LabelSpace
        The emotions.

    Returns
    -------
    dict
        Group -> figures, of speakers left out of the fit.

    Raises
    ------
    ValueError
        For an unknown group, missing prosody, or one speaker only.
    """
    unknown = sorted(set(connector.words) - {"emotion", *MEASURES})
    if unknown:
        raise ValueError(
            f"The connector's words have a group {unknown[0]!r}: known are "
            f"emotion, {', '.join(MEASURES)}."
        )
    x = vectors.float().flatten(1)
    connector.mean.copy_(x.mean(0))
    connector.deviation.copy_(x.std(0) + 1e-6)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    speakers = [item.get("speaker") or item["id"] for item in items]
    positions = _positions(items)
    figures = {}
    for group, words in connector.words.items():
        if group == "emotion":
            classes = [words.index(item["emotion"]) for item in items]
            weight, bias, figures[group] = choose_discriminant(
                x, torch.tensor(classes), speakers
            )
            words = [label_space.surface(word, "en") for word in words]
        else:
            values = torch.tensor([p[group] for p in positions])
            weight, bias, figures[group] = _style_head(
                x, values.float().clamp(-FARTHEST, FARTHEST), speakers
            )
        with torch.no_grad():
            connector.heads[group].weight.copy_(weight)
            connector.heads[group].bias.copy_(bias)
            rows = language_model.embed(
                [language_model.tokenize(f" {word}") for word in words]
            )
            embeddings = torch.stack([row.float().mean(0) for row in rows])
            getattr(connector, f"words_{group}").copy_(embeddings)
    return figures


def check_speakers(items: Sequence[dict]) -> None:
    """Refuse training rows whose heads cannot be tried on speakers left out.

    Arguments
    ---------
    items : sequence of dict
        Training rows with emotion; without speaker, each is its own.

    Raises
    ------
    ValueError
        For one speaker only, or an emotion of one speaker only.

    Example
    -------
    >>> check_speakers([{"speaker": "a", "emotion": "sad"}])
    Traceback (most recent call last):
    ...
    ValueError: All recordings to train on are of one speaker ('a'), but the
    connector is chosen on speakers left out: record another one at least.
    """
    speakers: dict[str, set] = {}
    for number, item in enumerate(items):
        name = item.get("speaker") or number
        speakers.setdefault(item["emotion"], set()).add(name)
    everyone = set().union(*speakers.values())
    if len(everyone) == 1:
        raise ValueError(
            "All recordings to train on are of one speaker "
            f"({everyone.pop()!r}), but the connector is chosen on speakers "
            "left out: record another one at least."
        )
    for emotion, names in sorted(speakers.items()):
        if len(names) == 1:
            raise ValueError(
                f"To train on, there are recordings of {emotion!r} by one "
                f"speaker only ({names.pop()!r}), but the connector is chosen "
                "on speakers left out: record it from another one, or leave "
                "the emotion out."
            )


def _positions(items):
    lacking = [item["id"] for item in items if not item.get("prosody")]
    if lacking:
        raise ValueError(
            f"{len(lacking)} training items have no prosody ({lacking[0]!r}, "
            "...): run recipes/C2SER/annotate_style.py on the corpus."
        )
    thresholds = StyleThresholds.fit(items)
    return [
        thresholds.positions(
            item["prosody"], item.get("gender"), item.get("language")
        )
        for item in items
    ]


def _style_head(x, values, speakers):
    """Scores of low, normal and high: equal where a regression is at a cut."""
    outputs = held_out(ridge, x, values, speakers, PENALTIES)
    errors = [float((o[:, 0] - values).square().mean()) for o in outputs]
    best = errors.index(min(errors))
    weight, bias = next(ridge(x, values, [PENALTIES[best]]))
    steep = STEEPNESS / max(errors[best], 1e-4) ** 0.5
    figures = {"error": errors[best] ** 0.5, "penalty": PENALTIES[best]}
    weight = steep * torch.cat([-weight, 0 * weight, weight])
    bias = steep * torch.cat([-1 - bias, 0 * bias, bias - 1])
    return weight, bias, figures


class FrameTeacher(torch.nn.Module):
    """CTC of transcripts' tokens on a connector's frames.

    The output layer is the language model's embeddings of the tokens that the
    training transcripts have, by cosine, and a learned blank.

    Arguments
    ---------
    connector : speechbrain_c2ser.lobes.WordConnector
        Gets gradients in its projection.
    language_model : speechbrain_c2ser.lobes.LanguageModel
        Its tokenizer and word embeddings.
    texts : sequence of str
        The training transcripts.
    """

    def __init__(self, connector, language_model, texts: Sequence[str]):
        super().__init__()
        self.connector = connector
        self.tokenize = language_model.tokenize
        self.to_text = language_model.tokenizer.batch_decode
        tokens = sorted({t for text in texts for t in self.tokenize(text)})
        self.places = {token: n for n, token in enumerate(tokens, 1)}
        # On the host, as the blank: a language model may be on a card already.
        embeddings = language_model.embed([tokens])[0].detach().float().cpu()
        self.register_buffer("embeddings", normalize(embeddings, dim=1))
        self.blank = torch.nn.Parameter(torch.randn(1, embeddings.shape[1]))
        self.sharpness = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, frames, lengths, texts):
        """Mean loss of a batch of frames [B, T, C] and its B texts."""
        log_probs, lengths = self._log_probs(frames, lengths)
        # a token that training never had cannot be taught
        targets = [
            torch.tensor([self.places[t] for t in ids if t in self.places])
            for ids in map(self.tokenize, texts)
        ]
        return ctc_loss(
            log_probs.transpose(0, 1),
            torch.cat(targets),
            lengths.cpu(),
            torch.tensor([len(target) for target in targets]),
            zero_infinity=True,
        )

    @torch.no_grad()
    def spell(self, frames, lengths) -> list[str]:
        """The B texts of each frame's likeliest token, repeats merged."""
        log_probs, lengths = self._log_probs(frames, lengths)
        tokens = list(self.places)  # the n-th has place n + 1
        return self.to_text(
            [
                [tokens[p - 1] for p, _ in groupby(row[:length]) if p]
                for row, length in zip(
                    log_probs.argmax(2).tolist(), lengths.tolist(), strict=True
                )
            ]
        )

    def _log_probs(self, frames, lengths):
        """[B, shorter T, 1 + tokens] of blank and tokens, and lengths [B]."""
        word_frames, lengths = self.connector.read_frames(frames, lengths)
        rows = torch.cat([normalize(self.blank, dim=1), self.embeddings])
        scores = normalize(word_frames.float(), dim=2) @ rows.t()
        return (scores * self.sharpness.exp()).log_softmax(2), lengths
