#!/usr/bin/env python3
"""emotion2vec+ with the classifier of its own checkpoint.

> python recipes/Baselines/emotion2vec_plus.py test.json predictions.jsonl \
      --model emotion2vec_plus_base/model.pt --labels emo_emilia

The model is the published file (its tokens.txt beside it names the labels) or
a folder that `c2ser convert emotion2vec` wrote. `label` is its best of all
nine, also where that is none of the set ("other"); `probabilities` are those
of the set alone.
"""

from pathlib import Path

import torch
from baseline import command_line, run
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.checkpoints.converters.emotion2vec import load_official
from speechbrain_c2ser.checkpoints.emotion2vec_folder import load_emotion2vec
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.evaluation.probabilities import within
from speechbrain_c2ser.lobes import EmotionClassifier
from speechbrain_c2ser.training.one_line import errors_in_one_line


def load(source):
    """The classifier of a folder or of a published file.

    Raises
    ------
    ValueError
        If it holds an encoder without a classifier.
    """
    if Path(source).is_dir():
        model = load_emotion2vec(source)["model"]
    else:
        model = load_official(source).classifier
    if not isinstance(model, EmotionClassifier):
        raise ValueError(
            f"{source} holds an encoder without a classifier: give an "
            "emotion2vec+ checkpoint."
        )
    return model.eval()


def classifier(model, space, device):
    """``items -> predictions`` of an emotion2vec+."""
    model = model.to(device)
    labels = model.heads["emotion"].labels

    @torch.no_grad()
    def predict(items):
        wavs = [read_item(item) for item in items]
        lengths = torch.tensor([len(wav) for wav in wavs])
        padded = pad_sequence(wavs, batch_first=True)
        predicted = model.predict(
            padded.to(device), (lengths / padded.shape[1]).to(device)
        )
        rows = []
        for each in predicted["emotion"].tolist():
            probabilities = dict(zip(labels, each, strict=True))
            rows.append(
                {
                    "label": max(probabilities, key=probabilities.get),
                    "probabilities": within(probabilities, space),
                }
            )
        return rows

    return predict


def main(argv=None):
    """Classify, write, score."""
    parser = command_line(__doc__)
    parser.add_argument("--model", required=True, help="model.pt or folder")
    options = parser.parse_args(argv)
    return run(
        options,
        lambda space: classifier(load(options.model), space, options.device),
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
