"""The authors' C2SER file (``C2SER_llm.pt``) in our modules and folders."""

from pathlib import Path

import torch

from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.checkpoints.converters.c2ser_keys import (
    LANGUAGE_MODEL,
    rename,
    sizes,
)
from speechbrain_c2ser.checkpoints.converters.emotion2vec import load_official
from speechbrain_c2ser.checkpoints.converters.safe_pickle import load_checkpoint
from speechbrain_c2ser.checkpoints.folder import load_strict
from speechbrain_c2ser.checkpoints.licences import check_licence
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.speech_llm.connectors import ConnectorTransformer
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.perception import ContextualPerception
from speechbrain_c2ser.lobes.speech_llm.speech_emotion_llm import (
    SpeechEmotionLLM,
)

# Qwen2's end of text, which the published answers end with.
END_TOKEN_ID = 151643
# Every Whisper's attention heads are this wide.
WHISPER_HEAD = 64


def convert_c2ser(
    c2ser_checkpoint: str | Path,
    llm_folder: str | Path,
    emotion2vec_s_checkpoint: str | Path,
    output: str | Path,
    utterance_source: str = "first_frames",
    normalize: bool = False,
    encoder_heads: int | None = None,
    connector_heads: int = 4,
    lora_alpha: int = 32,
    dtype: str = "bfloat16",
    end_token_id: int = END_TOKEN_ID,
    licence: str | None = None,
) -> Path:
    """Writes the published system as one folder for ``C2SER.from_hparams``.

    The published checkpoint was most likely trained on features as the
    authors' extraction code gives them, from waveforms as they are and with
    the first frames in the place of the utterance tokens; so are the defaults.

    Arguments
    ---------
    c2ser_checkpoint : str | Path
        ``C2SER_llm.pt``.
    llm_folder : str | Path
        Folder or hub id of the base language model, Qwen2-7B.
    emotion2vec_s_checkpoint : str | Path
        Emotion2Vec-S's ``checkpoint.pt``.
    output : str | Path
        Folder to write.
    utterance_source : str
        ``first_frames`` or ``tokens``
        (:class:`speechbrain_c2ser.lobes.ContextualPerception`).
    normalize : bool
        Whether Emotion2Vec-S normalizes the waveform.
    encoder_heads : int | None
        Whisper's attention heads; None = width / 64, as in every Whisper.
    connector_heads : int
        Attention heads of the connector.
    lora_alpha : int
        LoRA's scale, over its rank.
    dtype : str
        Type of the language model's weights.
    end_token_id : int
        Token that ends an answer.
    licence : str | None
        Of the published weights, as the Hugging Face hub calls it.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError
        When an input is not there.
    ValueError
        When a key has no place, a size does not fit, the language model is
        not the one that the checkpoint was trained on, or there is no such
        licence.
    """
    if licence is not None:
        check_licence(licence)
    official = read(c2ser_checkpoint)
    tensors, unused = rename(official)
    numbers = sizes(official)
    del official

    language_model = LanguageModel(
        str(llm_folder),
        lora=numbers["lora_rank"]
        and {"rank": numbers["lora_rank"], "alpha": lora_alpha},
        dtype=dtype,
    )
    width = numbers["connector"]["output_size"]
    if language_model.hidden_size != width:
        raise ValueError(
            f"The checkpoint is for a language model of width {width}, but "
            f"'{llm_folder}' is {language_model.hidden_size} wide: give its "
            "base model (published: Qwen2-7B)."
        )
    acoustic = load_official(
        emotion2vec_s_checkpoint,
        arguments={"normalize": normalize, "freeze": True},
    ).encoder
    model = SpeechEmotionLLM(
        ContextualPerception(
            _whisper_encoder(numbers, encoder_heads),
            acoustic,
            ConnectorTransformer(
                num_heads=connector_heads,
                utterance_size=acoustic.output_size,
                **numbers["connector"],
            ),
            utterance_source,
        ),
        language_model,
        lower_case=True,
        end_token_id=end_token_id,
    )
    _check_base(language_model, tensors, llm_folder)
    load_strict(
        model,
        {key: tensor for key, tensor in tensors.items() if not _is_base(key)},
        str(c2ser_checkpoint),
        elsewhere=lambda key: (
            _is_base(key) or key.startswith("perception.acoustic_encoder.")
        ),
    )
    return save_c2ser(
        model,
        output,
        LabelSpace.from_name("emo_emilia"),
        languages=("en", "zh"),
        extra={
            "converted_from": Path(c2ser_checkpoint).name,
            "unused_keys": unused,
        },
        licence=licence,
    )


def _whisper_encoder(numbers, num_heads):
    numbers = numbers["semantic_encoder"]
    return WhisperEncoder(
        num_heads=num_heads or numbers["size"] // WHISPER_HEAD, **numbers
    )


def read(path: str | Path) -> dict:
    """Official state dict of a file.

    Arguments
    ---------
    path : str | Path
        The file: the state dict itself or, as training tools write it, a
        dict that holds it as "module", "model" or "state_dict".

    Returns
    -------
    dict
        Official name -> tensor.

    Raises
    ------
    ValueError
        When the file holds no state dict.
    """
    tensors = load_checkpoint(path)
    for name in ("module", "model", "state_dict"):
        if isinstance(tensors, dict) and isinstance(tensors.get(name), dict):
            tensors = tensors[name]
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(t, torch.Tensor) for t in tensors.values())
    ):
        raise ValueError(
            f"{path} holds no state dict (names and tensors): give the "
            "authors' C2SER_llm.pt."
        )
    return tensors


def _is_base(key):
    return key.startswith(LANGUAGE_MODEL) and ".lora_" not in key


def _check_base(language_model, tensors, llm_folder):
    """The base model of the checkpoint is the one in the folder."""
    base = {
        LANGUAGE_MODEL + name: tensor
        for name, tensor in language_model.model.state_dict().items()
        if ".lora_" not in name
    }
    for name in sorted(base.keys() | set(filter(_is_base, tensors))):
        ours, theirs = base.get(name), tensors.get(name)
        if (
            ours is None
            or theirs is None
            or ours.shape != theirs.shape
            or not torch.allclose(
                # One was perhaps rounded to bfloat16, the other not.
                ours.float(),
                theirs.float(),
                atol=1e-6,
                rtol=2**-7,
            )
        ):
            raise ValueError(
                f"'{llm_folder}' is not the language model that the checkpoint "
                f"was trained on: they differ in {name}. Give its base model "
                "(published: Qwen2-7B)."
            )
