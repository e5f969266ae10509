"""Reading a Hugging Face language model and its tokenizer."""

import logging
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)

from speechbrain_c2ser.lobes.pretrained_files import (
    check_pretrained,
    describe_misfit,
    describe_unreachable,
)
from speechbrain_c2ser.lobes.pretrained_sizes import reading_weights
from speechbrain_c2ser.processor import memory_of_machine, processor_has

logger = logging.getLogger(__name__)


def load_tokenizer(source):
    """A source's tokenizer.

    Raises
    ------
    ValueError
        When the source has none or cannot be fetched, in one sentence.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "config.json").write_text("{}")
    >>> load_tokenizer(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: ... holds no tokenizer that can be read: put the language
    model's tokenizer files (tokenizer.json, ...) beside its config.json.
    """
    problem = (
        f"{source} holds no tokenizer that can be read: put the language "
        "model's tokenizer files (tokenizer.json, tokenizer_config.json) "
        "beside its config.json."
    )
    # Without tokenizer files transformers may build an empty tokenizer.
    files = ("tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt")
    folder = Path(source)
    check_pretrained(source)
    if folder.is_dir() and not any((folder / f).is_file() for f in files):
        raise ValueError(problem)
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # each kind of file raises its own
        if not folder.is_dir():
            problem = describe_unreachable(source, "language model")
        raise ValueError(f"{problem} ({_first_line(error)})") from error


def _first_line(error):
    """What an error of a library says, without its advice."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)


def _read_config(source):
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except OSError:
        raise  # it says what is not there
    except Exception as error:  # each release has checks of its own
        raise ValueError(
            f"The config.json of {source} cannot be read by transformers "
            f"{version('transformers')} ({_first_line(error)}): take a model "
            "of a family that this release knows, or download it again."
        ) from error


def load_model(source, dtype, quantize, device, pretrained):
    """A causal language model; a device takes the weights as they are read.

    The arguments are those of
    :class:`speechbrain_c2ser.lobes.speech_llm.language_model.LanguageModel`.

    Raises
    ------
    ValueError
        When the weights do not fit the configuration.

    Example
    -------
    >>> load_model("any", "float32", "int3", None, True)
    Traceback (most recent call last):
    ...
    ValueError: quantize must be null or 'nf4', not 'int3'.
    """
    check_pretrained(source)
    found = getattr(torch, str(dtype), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"There is no dtype {dtype!r} of numbers.")
    dtype = found
    if quantize not in (None, "nf4"):
        raise ValueError(f"quantize must be null or 'nf4', not {quantize!r}.")
    config = _read_config(source)
    if not pretrained:
        return AutoModelForCausalLM.from_config(
            config, dtype=dtype, trust_remote_code=False
        )
    options = {}
    if device == "auto":
        device = None
        if torch.cuda.is_available():
            device = f"cuda:{torch.cuda.current_device()}"
    if device is not None:
        options["device_map"] = {"": device}
    if quantize is not None:
        if not torch.cuda.is_available():
            raise RuntimeError(
                "quantize: nf4 needs a CUDA device; set quantize: null here."
            )
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
        )
    try:
        with reading_weights(source):
            model, info = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=dtype,
                output_loading_info=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # refused below, by name
                **options,
            )
    except Exception as error:
        told = (RuntimeError, OSError, ValueError, AssertionError)
        if isinstance(error, told):
            raise
        raise ValueError(
            f"The language model {source} cannot be read "
            f"({_first_line(error)}): download it again, with weights as "
            "safetensors."
        ) from error
    problem = describe_misfit(source, info)
    if problem is not None:
        raise ValueError(problem)
    return model


def narrow_base(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of a base that is not trained in another type.

    Under autocast a frozen weight is converted anew at each use; converted
    once, it takes half the memory, and a decoding step half the time.

    Raises
    ------
    ValueError
        For a base that is trained: small updates would be lost.

    Example
    -------
    >>> base = torch.nn.Linear(2, 2).requires_grad_(False)
    >>> narrow_base(base, torch.bfloat16)
    >>> base.weight.dtype
    torch.bfloat16
    """
    base = [p for name, p in model.named_parameters() if "lora_" not in name]
    if any(weight.requires_grad for weight in base):
        raise ValueError(
            f"The language model is trained in {base[0].dtype} and stays in "
            "it: freeze it, or do not narrow it."
        )
    for weight in base:
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def type_to_hold(
    model: torch.nn.Module, dtype: torch.dtype | None
) -> torch.dtype | None:
    """Type in which a base that is not trained should keep its weights.

    A processor without instructions for numbers of 16 bits imitates their
    products: they take three to five times as long as those of float32,
    backwards forty to sixty times.

    Arguments
    ---------
    model : nn.Module
        The base, of transformers.
    dtype : torch.dtype | None
        What is computed in; None: float32.

    Returns
    -------
    torch.dtype | None
        bfloat16 where that is computed in; float32 for weights in 16 bits
        whose products would be imitated, where half of the memory holds them;
        None: they stay as they are.

    Example
    -------
    >>> type_to_hold(torch.nn.Linear(2, 2), torch.bfloat16)
    torch.bfloat16
    """
    if dtype == torch.bfloat16:
        return dtype
    number = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(model.dtype)
    if number is None or model.device.type != "cpu" or processor_has(number):
        return None
    needed = 4 * sum(weight.numel() for weight in model.parameters())
    memory = memory_of_machine()
    if memory is not None and needed > memory / 2:
        logger.warning(
            "The language model stays in %s, which this processor computes "
            "slowly: in fp32 it would take %.0f GiB, more than half of the "
            "memory. Take a smaller one, or a GPU.",
            number,
            needed / 2**30,
        )
        return None
    return torch.float32
