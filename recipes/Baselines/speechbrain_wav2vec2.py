#!/usr/bin/env python3
"""SpeechBrain's wav2vec2 classifier of four emotions, trained on IEMOCAP.

> python recipes/Baselines/speechbrain_wav2vec2.py test.json predictions.jsonl \
      --model emotion-recognition-wav2vec2-IEMOCAP --wav2vec2 wav2vec2-base

The model is a local copy of the published folder, with a local wav2vec2-base
for its configuration. Its custom_interface.py is not run: the few lines that
it adds to SpeechBrain's interface are here, and its yaml may build nothing but
the classes it needs. As in that interface, one utterance is heard at a time.
"""

import tempfile
from pathlib import Path

import torch
from baseline import command_line, run
from ruamel.yaml import YAML
from speechbrain.inference.interfaces import Pretrained

from speechbrain_c2ser.checkpoints.safe_yaml import refuse_foreign
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.evaluation.probabilities import within
from speechbrain_c2ser.training.one_line import errors_in_one_line

ALLOWED = (
    "speechbrain.dataio.encoder",
    "speechbrain.integrations.huggingface.wav2vec2",
    "speechbrain.lobes.models.huggingface_transformers.wav2vec2",
    "speechbrain.lobes.models.huggingface_wav2vec",
    "speechbrain.nnet.activations",
    "speechbrain.nnet.linear",
    "speechbrain.nnet.pooling",
    "speechbrain.utils.parameter_transfer",
    "torch.nn",
)


class Wav2Vec2Classifier(Pretrained):
    """wav2vec2, mean over time, one linear layer, softmax."""

    MODULES_NEEDED = ["wav2vec2", "avg_pool", "output_mlp"]

    def forward(self, wavs, wav_lens):
        """Probabilities [B, L] of waveforms [B, T]."""
        frames = self.mods.wav2vec2(wavs, wav_lens)
        pooled = self.mods.avg_pool(frames, wav_lens).flatten(1)
        return self.mods.output_mlp(pooled).softmax(-1)


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
        If there is no such folder.
    ValueError
        If its yaml builds something else.
    """
    path = Path(folder) / "hyperparams.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no hyperparams.yaml: give a local copy of the "
            "published folder."
        )
    text = path.read_text(encoding="utf-8")
    refuse_foreign(text, path, ALLOWED)
    keys = YAML().load(text)
    wanted = {"pretrained_path": str(Path(folder).resolve())}
    if wav2vec2 is not None:
        wanted["wav2vec2_hub"] = str(Path(wav2vec2).resolve())
    with tempfile.TemporaryDirectory() as savedir:
        return Wav2Vec2Classifier.from_hparams(
            source=str(folder),
            savedir=savedir,
            overrides={k: v for k, v in wanted.items() if k in keys},
            run_opts={"device": device},
        ).eval()


def classifier(model, space):
    """``items -> predictions`` of the classifier."""
    encoder = model.hparams.label_encoder
    encoder.ignore_len()
    labels = [encoder.ind2lab[i] for i in range(len(encoder))]

    @torch.no_grad()
    def predict(items):
        rows = []
        for item in items:
            # SpeechBrain's pooling adds noise, in evaluation too.
            torch.manual_seed(0)
            wave = read_item(item)[None].to(model.device)
            whole = torch.ones(1, device=model.device)
            probabilities = dict(
                zip(labels, model(wave, whole)[0].tolist(), strict=True)
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
