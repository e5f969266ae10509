"""Fit a classifier's linear head without gradients, on kept features."""

import torch
from speechbrain.augment.time_domain import SpeedPerturb
from splits import emotions_of

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data.feature_cache import FeatureCache
from speechbrain_c2ser.evaluation.head_results import HeadResults
from speechbrain_c2ser.evaluation.metrics.category import majority
from speechbrain_c2ser.evaluation.metrics.temperature import (
    calibration_sentence,
)
from speechbrain_c2ser.evaluation.predictions import write_predictions
from speechbrain_c2ser.inference.pretrained import find_device

AS_IT_IS = 100  # percent
AT_ONCE = 64  # utterances whose kept features are in memory


def fit_head(hparams, run_opts, datasets):
    """Fit the head "emotion", write the folder and the test predictions.

    Returns
    -------
    dict
        As ``train``; ``valid`` also holds what ``LinearDiscriminant.fit``
        found.
    """
    device = find_device(run_opts["device"])
    model = hparams["model"].to(device).eval()
    head = only_head(model.heads)
    rows = {
        split: {key: data["row"] for key, data in dataset.data.items()}
        for split, dataset in datasets.items()
    }

    def vectors(split, speed=AS_IT_IS):
        return utterance_vectors(model, rows[split], hparams, device, speed)

    speeds = [AS_IT_IS, *(s for s in hparams["speeds"] if s != AS_IT_IS)]
    labels = [majority(head.truth(row)) for row in rows["train"].values()]
    targets = [head.labels.index(label) for label in labels]
    fitted = hparams["discriminant"].fit(
        head.linear,
        torch.cat([vectors("train", speed) for speed in speeds]).cpu(),
        torch.tensor(targets * len(speeds)),
        groups_of(list(rows["train"].values())) * len(speeds),
    )

    def results_of(split, temperature=1.0):
        outputs = model.heads(vectors(split))
        results = HeadResults(model.heads)
        predicted = model.heads.predict(outputs, temperature)
        results.add(list(rows[split].values()), predicted)
        return results

    temperature = 1.0
    if "valid" in rows:
        valid = results_of("valid")
        fitted |= {f"valid_{k}": v for k, v in valid.figures().items()}
        calibration = valid.calibration()
        if calibration:
            temperature = calibration["temperature"]
            print(calibration_sentence(calibration))
            fitted |= calibration
    save_classifier(
        model,
        hparams["classifier_folder"],
        label_space=emotions_of(model.heads),
        extra=fitted,
        temperature=temperature,
    )
    test = []
    if "test" in rows:
        test = results_of("test", temperature).predictions()
        write_predictions(test, hparams["prediction_file"])
    return {"valid": fitted, "test": test}


def only_head(heads):
    """The one head, which decides on a label: no other has a closed form."""
    names = list(heads.heads)
    if len(names) > 1 or heads.main is None:
        raise ValueError(
            "One head of one label is fitted in closed form, not "
            f"{', '.join(names)}: take another yaml for the others."
        )
    return heads[names[0]]


def groups_of(rows):
    """What is held out together: speakers, where there are several."""
    speakers = [row.get("speaker") for row in rows]
    if len({s for s in speakers if s is not None}) < 2:
        speakers = [None] * len(rows)
    return [
        ("id", row["id"]) if speaker is None else ("speaker", speaker)
        for row, speaker in zip(rows, speakers, strict=True)
    ]


@torch.no_grad()
def utterance_vectors(model, rows, hparams, device, speed=AS_IT_IS):
    """Vectors [N, C] of manifest rows, their audio as fast as ``speed`` says.

    Arguments
    ---------
    model : EmotionClassifier
        Its encoder is frozen.
    rows : dict
        Manifest rows (id → row).
    hparams : dict
        feature_folder.
    device : torch.device
        Where the model is.
    speed : int
        SpeechBrain's, in percent.

    Returns
    -------
    torch.Tensor
    """
    compute, kind = model.cached_features, model.cached_kind
    if speed != AS_IT_IS:
        change = SpeedPerturb(orig_freq=16000, speeds=[speed])
        kind = f"{kind}-speed{speed}"

        def compute(wavs, lens):
            return model.cached_features(change(wavs), lens)

    cache = FeatureCache(
        compute,
        fingerprint(model.encoder),
        hparams["feature_folder"],
        kind=kind,
    )
    cache.fill(rows, device=device, progress=False)
    rows, vectors = list(rows.values()), []
    for start in range(0, len(rows), AT_ONCE):
        kept = cache.lookup(rows[start : start + AT_ONCE])
        features = model.from_cache([x.to(device) for x in kept])
        vectors.append(model.utterance_vectors(features))
    return torch.cat(vectors)
