#!/usr/bin/env python3
"""SpeechBrain's wav2vec2 classifier of four emotions, trained on IEMOCAP.

> python recipes/Baselines/speechbrain_wav2vec2.py test.json predictions.jsonl \
      --model emotion-recognition-wav2vec2-IEMOCAP --wav2vec2 wav2vec2-base

The model is a local copy of the published folder, with a local wav2vec2-base
for its configuration. Its custom_interface.py is not run, and its yaml builds
nothing: the three modules that it describes are built here. As in that
interface, one utterance is heard at a time.
"""

import tempfile
from pathlib import Path

import torch
from baseline import command_line, run
from ruamel.yaml import YAML, MappingNode, ScalarNode
from ruamel.yaml.error import YAMLError
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.pooling import StatisticsPooling
from torch import nn

from speechbrain_c2ser.checkpoints.converters.safe_pickle import (
    load_checkpoint,
)
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.evaluation.probabilities import within
from speechbrain_c2ser.lobes.pretrained_files import check_pretrained
from speechbrain_c2ser.training.one_line import errors_in_one_line


class Wav2Vec2Classifier(nn.Module):
    """wav2vec2, mean over time, one linear layer, softmax."""

    def __init__(self, wav2vec2, output_mlp, labels):
        super().__init__()
        self.wav2vec2, self.output_mlp = wav2vec2, output_mlp
        self.avg_pool = StatisticsPooling(return_std=False)
        self.labels = labels

    def forward(self, wavs, wav_lens):
        """Probabilities [B, L] of waveforms [B, T]."""
        frames = self.wav2vec2(wavs, wav_lens)
        pooled = self.avg_pool(frames, wav_lens).flatten(1)
        return self.output_mlp(pooled).softmax(-1)


def load(folder, wav2vec2=None, device="cpu"):
    """The classifier of a local folder.

    Arguments
    ---------
    folder : str
        Copy of the published folder.
    wav2vec2 : str | None
        Folder of wav2vec2-base; None takes what the yaml names.
    device : str
        Where it runs.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    ValueError
        If its files are none of this classifier.
    """
    folder = Path(folder)
    if not (folder / "hyperparams.yaml").is_file():
        raise FileNotFoundError(
            f"{folder} holds no hyperparams.yaml: give a local copy of the "
            "published folder."
        )
    source = wav2vec2 or base_of(folder / "hyperparams.yaml")
    check_pretrained(source)
    with tempfile.TemporaryDirectory() as cache:
        lobe = Wav2Vec2(str(source), cache, output_norm=True, freeze=True)
    tensors = load_checkpoint(folder / "wav2vec2.ckpt")
    missing, _ = lobe.load_state_dict(tensors, strict=False)
    head = load_checkpoint(folder / "model.ckpt")
    if missing or "0.w.weight" not in head:
        lacks = missing[0] if missing else "0.w.weight"
        raise ValueError(
            f"The weights of {folder} are none of this classifier: {lacks} is "
            "missing."
        )
    labels, size = head["0.w.weight"].shape
    linear = Linear(labels, input_size=size, bias="0.w.bias" in head)
    linear.load_state_dict({n.removeprefix("0."): w for n, w in head.items()})
    encoder = CategoricalEncoder()
    if not encoder.load_if_possible(folder / "label_encoder.txt"):
        raise FileNotFoundError(f"{folder} holds no label_encoder.txt.")
    encoder.expect_len(labels)
    names = [encoder.ind2lab[i] for i in range(labels)]
    return Wav2Vec2Classifier(lobe, linear, names).to(device).eval()


def base_of(path):
    """The wav2vec2 that a published yaml names; nothing is built of it."""
    try:
        root = YAML().compose(path.read_text(encoding="utf-8"))
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is no readable yaml: {error}") from error
    for key, value in root.value if isinstance(root, MappingNode) else ():
        if key.value == "wav2vec2_hub" and isinstance(value, ScalarNode):
            return value.value
    raise ValueError(f"{path} names no wav2vec2_hub: give --wav2vec2.")


def classifier(model, space):
    """``items -> predictions`` of the classifier."""
    device = next(model.parameters()).device

    @torch.no_grad()
    def predict(items):
        rows = []
        for item in items:
            # SpeechBrain's pooling adds noise, in evaluation too.
            torch.manual_seed(0)
            wave = read_item(item)[None].to(device)
            whole = torch.ones(1, device=device)
            probabilities = dict(
                zip(model.labels, model(wave, whole)[0].tolist(), strict=True)
            )
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
    parser.add_argument("--model", required=True, help="folder")
    parser.add_argument("--wav2vec2", help="folder of wav2vec2-base")
    options = parser.parse_args(argv)
    return run(
        options,
        lambda space: classifier(
            load(options.model, options.wav2vec2, options.device), space
        ),
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
