"""Label probabilities by toy numbers: order, forms, prior, calibration."""

import pytest
import torch

from speechbrain_c2ser.evaluation.metrics.calibration import (
    expected_calibration_error,
)
from speechbrain_c2ser.lobes.speech_llm.label_scoring import (
    common_length,
    label_candidates,
    label_probabilities,
)

END = 0
# One token a word: "it is sad .", "it is dis gust ed .".
LONG = {"sad": [[1, 2, 3, 9, END]], "disgusted": [[1, 2, 4, 5, 6, 9, END]]}


def score(answers, probabilities, **options):
    """Probabilities of the labels whose answers have these ones."""
    candidates = label_candidates(answers)
    rows = torch.tensor([probabilities], dtype=torch.float64).log()
    return label_probabilities(rows, [candidates], **options)[0].tolist()


def test_a_longer_answer_is_not_favoured():
    assert score(LONG, [0.52, 0.48]) == pytest.approx([0.52, 0.48])
    # what per token makes of it: the order is turned round
    per_token = score(LONG, [0.52, 0.48], per_token=True)
    assert per_token == pytest.approx([0.494, 0.506], abs=5e-4)


def test_forms_of_a_label_add_up():
    answers = {"sad": [[3, END]], "happy": [[4, END], [5, END], [6, END]]}
    expected = [0.6 / 0.9, 0.3 / 0.9]
    assert score(answers, [0.6, 0.1, 0.1, 0.1]) == pytest.approx(expected)
    # per token the three little ones would win
    assert score(answers, [0.6, 0.1, 0.1, 0.1], per_token=True)[1] > 0.5


def test_a_prior_is_divided_out_of_whole_answers():
    found = score(LONG, [0.52, 0.48], prior=[0.8, 0.2])
    total = 0.52 / 0.8 + 0.48 / 0.2
    assert found == pytest.approx([0.65 / total, 2.4 / total])
    with pytest.raises(ValueError, match="whole answers"):
        score(LONG, [0.52, 0.48], prior=[0.8, 0.2], per_token=True)


def test_temperature_divides_the_scores():
    found = score(LONG, [0.8, 0.2], temperature=2.0)
    assert found == pytest.approx([2 / 3, 1 / 3])  # √0.8 to √0.2
    with pytest.raises(ValueError, match="must be > 0, got 0"):
        score(LONG, [0.8, 0.2], temperature=0)


def test_a_calibrated_model_stays_calibrated():
    """Answers of 2 to 8 tokens whose probabilities come true as often."""
    torch.manual_seed(0)
    answers = {
        str(label): [[*range(10, 11 + length), label, END]]
        for label, length in enumerate((0, 6, 2, 4))
    }
    rows = (2 * torch.randn(20000, 4)).softmax(-1)
    targets = torch.multinomial(rows, 1)[:, 0].tolist()
    candidates = [label_candidates(answers)] * len(rows)
    found = label_probabilities(rows.log(), candidates)
    assert expected_calibration_error(found.numpy(), targets) < 0.02
    unsure = label_probabilities(rows.log(), candidates, per_token=True)
    assert expected_calibration_error(unsure.numpy(), targets) > 0.1


def test_items_may_differ_in_the_number_of_answers():
    one = label_candidates({"a": [[5, END]], "b": [[6, END]]})
    two = label_candidates({"a": [[5, END], [7, END]], "b": [[6, END]]})
    rows = torch.tensor([[0.3, 0.1, 0.0], [0.1, 0.2, 0.1]]).log()
    found = label_probabilities(rows, [one, two])
    assert found.flatten().tolist() == pytest.approx([0.75, 0.25, 0.75, 0.25])


def test_what_answers_share_and_what_was_told():
    answers = {"sad": [[1, 2, 3, END]], "happy": [[1, 2, 4, 5, END]]}
    candidates = label_candidates(answers, prefix=[1, 8])
    assert candidates.shared == [1, 2] and candidates.told == 1
    assert candidates.shared_labels == [-100, 2]
    assert candidates.endings == [[3, END], [4, 5, END]]
    assert candidates.num_tokens == [3, 4]
    # one token is left to an answer that another one continues
    short = label_candidates({"a": [[1, 2]], "b": [[1, 2, 3]]})
    assert short.shared == [1] and short.endings == [[2], [2, 3]]
    assert common_length([], [1]) == 0


def test_a_label_without_answer_is_named():
    with pytest.raises(ValueError, match="'sad' has no answer"):
        label_candidates({"happy": [[1]], "sad": []})
