"""Where a Whisper encoder comes from: a folder, the hub, or numbers alone."""

from pathlib import Path

from transformers import WhisperConfig, WhisperModel
from transformers.models.whisper import modeling_whisper
from transformers.utils import logging as transformers_logging

from speechbrain_c2ser.lobes.pretrained_files import (
    check_pretrained,
    describe_misfit,
    describe_unreachable,
)
from speechbrain_c2ser.lobes.pretrained_sizes import reading_weights


def from_source(
    source: str, pretrained: bool, save_path: str | None
) -> modeling_whisper.WhisperEncoder:
    """Transformers' encoder of a Whisper folder or hub model.

    The arguments are those of
    :class:`speechbrain_c2ser.lobes.encoders.whisper.WhisperEncoder`.

    Raises
    ------
    FileNotFoundError
        Where there are no weights.
    ValueError
        For weights that do not fit, or that lack a part of the encoder.

    Example
    -------
    >>> from_source("./nothing", True, None)
    Traceback (most recent call last):
    ...
    FileNotFoundError: There is no Whisper folder './nothing'.
    """
    folder = Path(source)
    check_pretrained(source, save_path)
    if not pretrained:
        config = WhisperConfig.from_pretrained(source, cache_dir=save_path)
        return modeling_whisper.WhisperEncoder(config)
    if folder.is_dir():
        names = [path.suffix for path in folder.iterdir()]
        if not {".safetensors", ".bin"} & set(names):
            raise FileNotFoundError(
                f"The Whisper folder '{source}' holds no weights; add its "
                "model.safetensors, or ask for random ones by pretrained=False."
            )
    elif folder.is_absolute() or source.startswith((".", "~")):
        raise FileNotFoundError(f"There is no Whisper folder '{source}'.")
    # The decoder is not kept, so that its absence is no news; what the
    # encoder lacks is.
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with reading_weights(source):
            loaded: tuple = WhisperModel.from_pretrained(
                source,
                cache_dir=save_path,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, by name
            )
    except OSError as error:
        if folder.is_dir():
            raise
        raise FileNotFoundError(
            describe_unreachable(source, "Whisper")
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    whisper, report = loaded
    problem = describe_misfit(
        source, {"mismatched_keys": report["mismatched_keys"]}
    )
    if problem is not None:
        raise ValueError(problem)
    missing = sorted(
        key for key in report["missing_keys"] if key.startswith("encoder.")
    )
    if missing:
        raise ValueError(
            f"'{source}' is no whole Whisper model: it lacks {len(missing)} "
            f"tensors of the encoder, such as '{missing[0]}'."
        )
    return whisper.encoder


def from_numbers(numbers: dict) -> modeling_whisper.WhisperEncoder:
    """Transformers' encoder of a given size, randomly initialised.

    Arguments
    ---------
    numbers : dict
        Of its configuration: ``encoder_layers``, ``d_model`` ...

    Raises
    ------
    ValueError
        Where a size is missing.

    Example
    -------
    >>> from_numbers({"d_model": 16})
    Traceback (most recent call last):
    ...
    ValueError: WhisperEncoder needs either a source (folder or hub name) or
    its sizes; missing: num_layers, num_heads, ffn_size.
    """
    needed = {
        "encoder_layers": "num_layers",
        "d_model": "size",
        "encoder_attention_heads": "num_heads",
        "encoder_ffn_dim": "ffn_size",
    }
    absent = [name for key, name in needed.items() if key not in numbers]
    if absent:
        raise ValueError(
            "WhisperEncoder needs either a source (folder or hub name) or "
            f"its sizes; missing: {', '.join(absent)}."
        )
    # The decoder's numbers are never used; they only keep the config small,
    # and valid at any width.
    config = WhisperConfig(
        **numbers,
        decoder_layers=1,
        decoder_ffn_dim=1,
        decoder_attention_heads=numbers["encoder_attention_heads"],
    )
    return modeling_whisper.WhisperEncoder(config)
