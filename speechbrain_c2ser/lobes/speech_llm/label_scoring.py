"""From the log-probabilities of answers to the probabilities of labels.

Every answer ends with the end token, so the sum over its tokens is the
log-probability of the whole answer, and a longer answer is not punished for
its length: the answers of a label are alternatives whose probabilities add up.
"""

from dataclasses import dataclass

import torch

from speechbrain_c2ser.lobes.speech_llm.merging import IGNORED


@dataclass(frozen=True)
class LabelCandidates:
    """The answers that name the labels of a closed set, as token ids.

    Arguments
    ---------
    shared : list[int]
        What all answers begin with.
    told : int
        Number of the shared tokens that were already answered: they do not
        count.
    endings : list[list[int]]
        K answers behind what they share, each of at least one token.
    forms : list[int]
        [L] number of answers of each label, in the answers' order.
    """

    shared: list[int]
    told: int
    endings: list[list[int]]
    forms: list[int]

    @property
    def shared_labels(self) -> list[int]:
        """The shared tokens; -100 where one does not count."""
        return [IGNORED] * self.told + self.shared[self.told :]

    @property
    def num_tokens(self) -> list[int]:
        """[K] number of tokens of each answer that count."""
        shared = len(self.shared) - self.told
        return [shared + len(ending) for ending in self.endings]


def label_candidates(answers, prefix=()) -> LabelCandidates:
    """Split the answers of a label set into what they share and the rest.

    Arguments
    ---------
    answers : dict[str, list[list[int]]]
        Label -> token ids of the whole answers that name it, end included.
    prefix : sequence of int
        Token ids that were already answered. The last one may differ from
        the answers': a text's last token may merge with what follows.

    Returns
    -------
    LabelCandidates

    Raises
    ------
    ValueError
        When a label has no answer.

    Example
    -------
    >>> label_candidates({"sad": [[5, 6, 0]], "happy": [[5, 7, 0], [5, 0]]})
    LabelCandidates(shared=[5], told=0, endings=[[6, 0], [7, 0], [0]],
    forms=[1, 2])
    """
    for label, ids in answers.items():
        if not ids:
            raise ValueError(f"Label {label!r} has no answer to score.")
    everything = [ids for forms in answers.values() for ids in forms]
    # At least one token is left to each answer.
    limit = min(map(len, everything)) - 1
    shared = 0
    while shared < limit and len({ids[shared] for ids in everything}) == 1:
        shared += 1
    return LabelCandidates(
        shared=everything[0][:shared],
        told=min(common_length(prefix, everything[0]), shared),
        endings=[ids[shared:] for ids in everything],
        forms=[len(forms) for forms in answers.values()],
    )


def common_length(prefix, ids) -> int:
    """Number of tokens that two sequences begin with.

    Example
    -------
    >>> common_length([5, 6, 7], [5, 6, 8, 9])
    2
    """
    length = 0
    for ours, theirs in zip(prefix, ids, strict=False):
        if ours != theirs:
            break
        length += 1
    return length


def label_probabilities(
    log_probabilities,
    candidates,
    per_token=False,
    temperature=1.0,
    prior=None,
) -> torch.Tensor:
    """Probabilities of the labels from those of their answers.

    A label's score is the log of the summed probabilities of its answers;
    the log of the prior is subtracted, the temperature divides, and a softmax
    over the labels follows.

    Arguments
    ---------
    log_probabilities : torch.Tensor
        [B, K] of each item's answers, summed over their tokens; columns
        behind an item's last answer are ignored.
    candidates : list[LabelCandidates]
        B label sets of L labels each.
    per_token : bool
        Divide an answer's log-probability by its number of tokens first: a
        ranking that does not mind length, but no probability any more.
    temperature : float
        Over 1 makes the probabilities less sure; fitted on validation data.
    prior : torch.Tensor | list[float] | None
        [L] the labels' probabilities without listening, divided out.

    Returns
    -------
    torch.Tensor
        [B, L]; rows sum to 1.

    Raises
    ------
    ValueError
        For a temperature that is not positive, or a prior per token.

    Example
    -------
    >>> two = label_candidates({"sad": [[5, 6, 0]], "happy": [[7, 0], [8, 0]]})
    >>> answers = torch.tensor([[0.6, 0.1, 0.1]]).log()
    >>> label_probabilities(answers, [two])
    tensor([[0.7500, 0.2500]])
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    if per_token and prior is not None:
        raise ValueError(
            "A prior holds for the probabilities of whole answers: leave it "
            "out, or set per_token to False."
        )
    rows = []
    for row, item in zip(log_probabilities, candidates, strict=True):
        row = row[: len(item.endings)]  # [K_i]
        if per_token:
            row = row / row.new_tensor(item.num_tokens)
        rows.append(
            torch.stack([f.logsumexp(0) for f in row.split(item.forms)])
        )
    scores = torch.stack(rows)  # [B, L]
    if prior is not None:
        scores = scores - torch.as_tensor(prior).to(scores).log()
    return (scores / temperature).softmax(-1)
