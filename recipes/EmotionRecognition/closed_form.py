"""Fit a classifier's linear head without gradients, on kept features."""

import torch
from speechbrain.augment.time_domain import SpeedPerturb

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data.feature_cache import FeatureCache
from speechbrain_c2ser.evaluation.metrics import classification_metrics
from speechbrain_c2ser.evaluation.metrics.temperature import (
    calibration_sentence,
    fit_calibration,
    soften,
)
from speechbrain_c2ser.evaluation.predictions import (
    prediction_of,
    write_predictions,
)
from speechbrain_c2ser.labels import LabelSpace

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
    device = str(run_opts.get("device") or "cpu")
    model = hparams["model"].to(device).eval()
    head = model.heads["emotion"]
    rows = {
        split: {key: data["row"] for key, data in dataset.data.items()}
        for split, dataset in datasets.items()
    }

    def vectors(split, speed=AS_IT_IS):
        return utterance_vectors(model, rows[split], hparams, device, speed)

    train = [r for r in rows["train"].values() if r.get("emotion")]
    rows["train"] = {row["id"]: row for row in train}
    speeds = [AS_IT_IS, *(s for s in hparams["speeds"] if s != AS_IT_IS)]
    targets = [head.labels.index(row["emotion"]) for row in train]
    found = hparams["discriminant"].fit(
        head.linear,
        torch.cat([vectors("train", speed) for speed in speeds]).cpu(),
        torch.tensor(targets * len(speeds)),
        groups_of(train) * len(speeds),
    )

    def predict(split, temperature=1.0):
        shares = model.heads.predict(model.heads(vectors(split)))["emotion"]
        shares = soften(shares.detach().cpu().numpy(), temperature).tolist()
        return [
            said_of(row, head.labels, p)
            for row, p in zip(rows[split].values(), shares, strict=True)
        ]

    valid = predict("valid") if "valid" in rows else []
    labelled = [row for row in valid if row["emotion"]]
    temperature = 1.0
    if labelled:
        true = [row["emotion"] for row in labelled]
        calibration = fit_calibration(
            [list(row["probabilities"].values()) for row in labelled],
            [head.labels.index(name) for name in true],
        )
        temperature = calibration["temperature"]
        print(calibration_sentence(calibration))
        predicted = [row["label"] for row in labelled]
        metrics = classification_metrics(true, predicted, head.labels)
        found |= {f"valid_{name}": metrics[name] for name in ("ua", "wa")}
        found |= calibration
    save_classifier(
        model,
        hparams["classifier_folder"],
        label_space=LabelSpace(hparams["label_names"]),
        extra=found,
        temperature=temperature,
    )
    test = predict("test", temperature) if "test" in rows else []
    if "test" in rows:
        write_predictions(test, hparams["prediction_file"])
    return {"valid": found, "test": test}


def said_of(row, labels, probabilities):
    """The line of an utterance in a prediction file."""
    shares = dict(zip(labels, probabilities, strict=True))
    label = max(shares, key=shares.get)
    return prediction_of(row["id"], row, label=label, probabilities=shares)


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
    device : str
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
