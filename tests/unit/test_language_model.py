"""Any causal LM: modes, LoRA, loss, scores against transformers' own."""

import json
import shutil
from importlib.metadata import version

import pytest
import torch
from packaging.version import Version
from transformers import AutoModelForCausalLM

from speechbrain_c2ser.lobes.quick_dropout import QuickDropout
from speechbrain_c2ser.lobes.speech_llm import llm_loading
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.llm_loading import (
    load_model,
    type_to_hold,
)
from speechbrain_c2ser.lobes.speech_llm.merging import Merged, Speech, merge


def make_merged(lm, answers, padding_side="right", prompts=("a", "abc")):
    speech = torch.randn(len(prompts), 3, lm.hidden_size)
    words = lm.embed([*map(lm.tokenize, prompts), *answers])
    words = [each.detach() for each in words]
    return merge(
        words[: len(prompts)],
        Speech(speech, torch.tensor([3, 2])[: len(prompts)]),
        torch.randn(2, lm.hidden_size),
        words[len(prompts) :],
        answers,
        padding_side,
    )


@pytest.fixture(scope="module")
def lm(tiny_llm):
    return LanguageModel(tiny_llm)


@pytest.mark.parametrize("side", ["right", "left"])
def test_loss_is_that_of_transformers(lm, side):
    merged = make_merged(lm, [[5, 6, 7], [8]], side)
    output = lm(merged)
    expected = lm.model(
        inputs_embeds=merged.embeddings,
        attention_mask=merged.attention_mask,
        position_ids=merged.position_ids,
        labels=merged.labels,
    )
    torch.testing.assert_close(output.loss, expected.loss)
    assert output.num_tokens.tolist() == [3, 1]
    weighted = (output.item_loss * output.num_tokens).sum() / 4
    torch.testing.assert_close(weighted, output.loss)
    assert output.targets.tolist() == [5, 6, 7, 8]
    assert output.items.tolist() == [0, 0, 0, 1]
    # The vocabulary is projected to at answer positions only, and kept where
    # someone asks for it.
    assert "logits" not in vars(output)
    assert output.logits.shape == (4, lm.model.config.vocab_size)


def test_no_answer_is_an_error(lm):
    merged = make_merged(lm, [[], []])
    with pytest.raises(ValueError, match="no answer token"):
        lm(merged)


def test_an_item_without_answer_does_not_break_the_others(lm):
    output = lm(make_merged(lm, [[5, 6], []]))
    assert torch.isfinite(output.loss)
    assert output.item_loss[1] == 0


def test_scores_are_those_of_whole_sequences(lm):
    shared = [[5], [6, 7]]
    endings = [[[8, 9, 10], [11]], [[9], [12, 13]]]
    torch.manual_seed(0)
    scores = lm.score(make_merged(lm, shared), endings)
    for column in range(2):
        torch.manual_seed(0)
        whole = [shared[i] + endings[i][column] for i in range(2)]
        output = lm(make_merged(lm, whole))
        naive = -output.item_loss * output.num_tokens
        torch.testing.assert_close(scores[:, column], naive, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fused", [True, False])
def test_a_prompt_read_before_is_forgotten_after_an_epoch(tiny_llm, fused):
    """A fused optimiser changes weights and tells no counter."""
    lm = LanguageModel(tiny_llm, freeze=False).eval()
    prompt = lm.tokenize("what is heard?")
    endings = [[[8, 9], [11]]] * 2
    learn, ask = make_merged(lm, [[5], [6]]), make_merged(lm, [[5], [6]])
    before = lm.score(ask, endings, prompt)
    assert torch.equal(before, lm.score(ask, endings, prompt))
    optimizer = torch.optim.AdamW(lm.parameters(), lr=0.1, fused=fused)
    lm.train()
    lm(learn).loss.backward()
    optimizer.step()
    lm.eval()
    after = lm.score(ask, endings, prompt)
    assert not torch.allclose(after, before)
    lm._memory.forget()
    assert torch.equal(after, lm.score(ask, endings, prompt))


def test_a_prompt_read_before_is_forgotten_when_weights_are_loaded(tiny_llm):
    lm, other = (LanguageModel(tiny_llm, freeze=False) for _ in range(2))
    prompt = lm.tokenize("what is heard?")
    merged, endings = make_merged(lm, [[5], [6]]), [[[8, 9], [11]]] * 2
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(-0.5)
    before = lm.score(merged, endings, prompt)
    expected = other.score(merged, endings, prompt)
    assert not torch.allclose(before, expected)
    torch.nn.ModuleDict({"lm": lm}).load_state_dict(
        {f"lm.{k}": v for k, v in other.state_dict().items()}
    )
    scores = lm.score(merged, endings, prompt)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize(
    "name", ["llama", "qwen2", "mistral", "gemma2", "gemma3_text"]
)
def test_scores_beyond_a_sliding_window(name, small_llm):
    lm = small_llm(name)
    question = lm.tokenize("Please describe the speech.")
    shared = [[5, 6, 7], [6, 7]]
    endings = [
        [[8, 9, 10, 11, 12, 13, 14], [15], [16, 17]],
        [[9], [12, 13], [18] * 12],
    ]
    for prompt in (None, question):
        torch.manual_seed(1)
        merged = make_merged(lm, shared, prompts=("a b c d", "abc"))
        scores = lm.score(merged, endings, prompt)
        first = "" if prompt is None else "Please describe the speech."
        for column in range(3):
            torch.manual_seed(1)
            whole = [shared[i] + endings[i][column] for i in range(2)]
            merged = make_merged(lm, whole, prompts=("a b c d", "abc"))
            merged = behind(lm, prompt or [], merged)
            assert merged.embeddings.shape[1] > 8, first
            output = lm(merged)
            naive = -output.item_loss * output.num_tokens
            torch.testing.assert_close(
                scores[:, column], naive, atol=2e-5, rtol=0
            )


def behind(lm, prompt, merged):
    """The sequences behind a prompt, as one without any memory."""
    (words,) = lm.embed([prompt])
    batch, count = len(merged.labels), len(prompt)
    ones = merged.attention_mask.new_ones(batch, count)
    mask = torch.cat((ones, merged.attention_mask), 1)
    words = words.detach().expand(batch, -1, -1)
    return Merged(
        embeddings=torch.cat((words, merged.embeddings), 1),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        labels=torch.cat((-100 * ones, merged.labels), 1),
    )


def test_layers_that_follow_no_mask_are_refused(tiny_llm):
    lm = LanguageModel(tiny_llm)
    lm.model.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ValueError, match=r"linear_attention.* follow a mask"):
        lm.score(make_merged(lm, [[5], [6]]), [[[8], [9]]] * 2)


def test_generation_is_greedy_and_equal_to_single(lm):
    merged = make_merged(lm, [[], []], "left")
    ids, _ = lm.generate(merged, end_token_id=0, max_new_tokens=6)
    for row in range(2):
        start = int((merged.attention_mask[row] == 0).sum())
        item = Merged(
            *(
                part[row : row + 1, start:]
                for part in (
                    merged.embeddings,
                    merged.attention_mask,
                    merged.position_ids,
                    merged.labels,
                )
            )
        )
        one, _ = lm.generate(item, end_token_id=0, max_new_tokens=6)
        length = one.shape[1]
        assert ids[row, :length].tolist() == one[0].tolist()
    # Greedy: each token is the most probable continuation.
    first = lm.model(
        inputs_embeds=merged.embeddings,
        attention_mask=merged.attention_mask,
        position_ids=merged.position_ids,
    ).logits[:, -1]
    assert ids[:, 0].tolist() == first.argmax(-1).tolist()


def test_a_chat_models_sampling_defaults_are_not_used(tiny_llm, tmp_path):
    folder = shutil.copytree(tiny_llm, tmp_path / "chat")
    settings = {"do_sample": True, "temperature": 5.0, "top_k": 50}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    chat = LanguageModel(folder)
    merged = make_merged(chat, [[], []], "left")
    outputs = [
        chat.generate(merged, 0, max_new_tokens=8)[0].tolist() for _ in range(3)
    ]
    assert outputs[0] == outputs[1] == outputs[2]


def test_frozen_base_stays_in_eval_and_lora_dropout_follows(tiny_llm):
    lm = LanguageModel(tiny_llm, lora={"rank": 2, "dropout": 0.5})
    lm.train()
    dropouts = [
        m for n, m in lm.named_modules() if n.endswith("lora_dropout.default")
    ]
    assert dropouts and all(m.training for m in dropouts)
    assert not lm.model.training
    assert not any(layer.training for layer in lm.model.model.layers)
    lm.eval()
    assert not any(m.training for m in lm.modules())
    trained = {n for n, p in lm.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    adapted = {name.split(".")[-4] for name in trained}
    assert adapted == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj",
    }  # fmt: skip


def test_new_lora_changes_nothing_until_it_is_trained(tiny_llm, lm):
    adapted = LanguageModel(tiny_llm, lora={})
    merged = make_merged(lm, [[5, 6], [7]])
    torch.testing.assert_close(adapted(merged).loss, lm(merged).loss)


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_gradient_checkpointing_gives_the_same_gradients(tiny_llm, lora):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        lm = LanguageModel(
            tiny_llm,
            lora=lora and {**lora, "dropout": 0.0},
            freeze=lora is not None,
            gradient_checkpointing=checkpointing,
        ).train()
        recomputing = [layer.training for layer in lm.model.model.layers]
        assert all(recomputing) or not checkpointing
        lm(make_merged(lm, [[5, 6], [7]])).loss.backward()
        gradients.append(
            [p.grad for p in lm.parameters() if p.grad is not None]
        )
    assert gradients[0]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_half_precision_base_with_lora(tiny_llm):
    lm = LanguageModel(tiny_llm, lora={}, dtype="bfloat16").train()
    merged = make_merged(lm, [[5, 6], [7]])
    merged.embeddings = merged.embeddings.bfloat16()
    output = lm(merged)
    output.loss.backward()
    assert output.logits.dtype == torch.float32
    loras = [p for n, p in lm.named_parameters() if "lora_" in n]
    assert all(p.dtype == torch.float32 for p in loras)
    assert all(torch.isfinite(p.grad).all() for p in loras)


def test_architecture_alone_on_the_meta_device(tiny_llm):
    with torch.device("meta"):
        lm = LanguageModel(tiny_llm, lora={}, pretrained=False)
    assert {p.device.type for p in lm.parameters()} == {"meta"}


def test_folder_without_tokenizer(tiny_llm, tmp_path):
    folder = shutil.copytree(
        tiny_llm, tmp_path / "llm", ignore=shutil.ignore_patterns("token*")
    )
    with pytest.raises(ValueError, match="no tokenizer"):
        LanguageModel(folder)


def copied(tiny_llm, tmp_path, **settings):
    """A copy of the tiny model, with other settings; and its config.json."""
    folder = tmp_path / "llm"
    shutil.copytree(tiny_llm, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


class Touches:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_with_code_is_one_sentence_and_runs_nothing(
    tiny_llm, tmp_path
):
    folder = copied(tiny_llm, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"a": Touches(tmp_path / "mark")}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="llm are a pickle of more than"):
        LanguageModel(folder)
    assert not (tmp_path / "mark").exists()


def test_a_model_that_needs_code_of_its_own(tiny_llm, tmp_path):
    names = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    folder = copied(tiny_llm, tmp_path, model_type="own", auto_map=names)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    with pytest.raises(ValueError, match="'own'.*code of its own, which"):
        LanguageModel(folder)
    assert not (tmp_path / "mark").exists()


def test_settings_that_contradict_each_other(tiny_llm, tmp_path):
    folder = copied(tiny_llm, tmp_path, num_hidden_layers=10**6)
    for pretrained in (True, False):
        with pytest.raises(ValueError, match="llm.* be read"):
            LanguageModel(folder, pretrained=pretrained)
        with pytest.raises(ValueError, match="config.json of .*llm cannot be"):
            load_model(folder, "float32", None, None, pretrained)


def test_missing_folder():
    with pytest.raises(ValueError, match="nowhere is no folder here and can"):
        LanguageModel("nowhere")


def test_tokenizer_of_another_model(tiny_llm, make_tiny_models, tmp_path):
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] = 100
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not belong together"):
        LanguageModel(folder, pretrained=False)


def test_weights_of_another_shape(tiny_llm, tmp_path):
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    config["intermediate_size"] = 100
    (folder / "config.json").write_text(json.dumps(config))
    # transformers 4 names the keys, 5 tells the shapes too.
    expected = (
        r"do not fit.*mismatched keys 6.*mlp\.down_proj.*'(.*\(32, 100\))?\.$"
    )
    with pytest.raises(ValueError, match=expected):
        LanguageModel(folder)


def test_weights_that_lack_a_layer(tiny_llm, tmp_path):
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 3
    config["layer_types"] = ["full_attention"] * 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="layers.2"):
        LanguageModel(folder)


def test_weights_are_read_straight_onto_their_device(tiny_llm, lm, monkeypatch):
    asked = []
    read = AutoModelForCausalLM.from_pretrained

    def noted(*args, **options):
        asked.append(options.get("device_map"))
        return read(*args, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", noted)
    direct = LanguageModel(tiny_llm, device="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    LanguageModel(tiny_llm, device="auto")
    assert asked == [{"": "cpu"}, None]
    for one, two in zip(direct.parameters(), lm.parameters(), strict=True):
        assert torch.equal(one, two)
    asked.clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    with pytest.raises((AssertionError, RuntimeError)):  # there is none here
        LanguageModel(tiny_llm, device="auto")
    assert asked == [{"": "cuda:3"}]


def test_four_bits_need_cuda(tiny_llm):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(RuntimeError, match="needs a CUDA device"):
        LanguageModel(tiny_llm, quantize="nf4")
    with pytest.raises(ValueError, match="int3"):
        LanguageModel(tiny_llm, quantize="int3")


def test_lora_on_a_trained_base_is_refused(tiny_llm):
    with pytest.raises(ValueError, match="freeze: True"):
        LanguageModel(tiny_llm, lora={}, freeze=False)


def test_a_generation_never_copies_the_projection(build_model, clips):
    """For a slice of the states torch copies [V, D] for every item: of a
    real vocabulary 270 MB each."""
    model = build_model()
    head = model.language_model.model.get_output_embeddings()
    seen = []
    head.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].is_contiguous())
    )
    speech = model.listen(*clips)
    model.generate(speech, ["What?"] * 3, max_new_tokens=2)
    assert len(seen) == 2 and all(seen)


def test_a_base_held_in_bf16_scores_alike(tiny_llm):
    lm = LanguageModel(tiny_llm, lora={"rank": 2})
    endings = [[[8, 9], [10]], [[9], [12, 13]]]
    torch.manual_seed(0)
    merged = make_merged(lm, [[5], [6]])
    exact = lm.score(merged, endings)
    lm.hold_for(torch.bfloat16)
    kinds = {n: p.dtype for n, p in lm.model.named_parameters()}
    lora = {kind for name, kind in kinds.items() if "lora_" in name}
    base = {kind for name, kind in kinds.items() if "lora_" not in name}
    assert (lora, base) == ({torch.float32}, {torch.bfloat16})
    merged.embeddings = merged.embeddings.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        scores = lm.score(merged, endings)
    torch.testing.assert_close(scores.float(), exact, atol=0.1, rtol=0.02)


def test_lora_reads_what_a_base_held_in_bf16_reads(tiny_llm):
    """Copies of all inputs in float32 take time, and change nothing."""
    gradients, read = [], []
    for copies in (False, True):
        torch.manual_seed(0)
        lm = LanguageModel(tiny_llm, lora={"rank": 2, "dropout": 0.0}).train()
        lm.hold_for(torch.bfloat16)
        for layer in lm.model.modules():
            if hasattr(layer, "lora_dropout"):
                layer.cast_input_dtype_enabled |= copies
                layer.lora_dropout["default"].register_forward_pre_hook(
                    lambda _, inputs: read.append(inputs[0].dtype)
                )
        merged = make_merged(lm, [[5, 6, 7], [8]])
        merged.embeddings = merged.embeddings.bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            lm(merged).loss.backward()
        copied = copies or Version(version("peft")) < Version("0.15")
        assert set(read) == {torch.float32 if copied else torch.bfloat16}
        read.clear()
        gradients.append([p.grad for p in lm.parameters() if p.requires_grad])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_base_held_in_bf16_is_validated_without_autocast(tiny_llm):
    lm = LanguageModel(tiny_llm, lora={"rank": 2}).train()
    lm.hold_for(torch.bfloat16)
    lm.eval()
    merged = make_merged(lm, [[5], [6]])
    merged.embeddings = merged.embeddings.bfloat16()
    with torch.no_grad():
        assert lm(merged).loss.isfinite()
        assert lm.score(merged, [[[8]], [[9]]]).isfinite().all()
    # nor is a model that was loaded in bf16 and is not held
    plain = LanguageModel(tiny_llm, lora={"rank": 2}, dtype="bfloat16").train()
    assert plain(merged).loss.isfinite()


def test_loras_dropout_is_quick(tiny_llm):
    lm = LanguageModel(tiny_llm, lora={"rank": 2, "dropout": 0.3}).train()

    def dropouts():
        layers = [m for m in lm.modules() if hasattr(m, "lora_dropout")]
        return [layer.lora_dropout["default"] for layer in layers]

    assert {type(each) for each in dropouts()} == {QuickDropout}
    assert all(each.p == 0.3 and each.training for each in dropouts())
    lm.eval()
    lm.hold_for(torch.bfloat16)
    assert {type(each) for each in dropouts()} == {QuickDropout}
    assert not any(each.training for each in dropouts())
    # without dropout, there is nothing to draw
    lm = LanguageModel(tiny_llm, lora={"rank": 2, "dropout": 0.0}).train()
    assert {type(each) for each in dropouts()} == {torch.nn.Identity}


def test_a_base_that_is_trained_is_not_narrowed(tiny_llm):
    with pytest.raises(ValueError, match="is trained in torch.float32"):
        LanguageModel(tiny_llm, freeze=False).hold_for(torch.bfloat16)


def test_an_answer_without_end_stops_at_its_limit(lm):
    merged = make_merged(lm, [[], []], "left")
    ids, _ = lm.generate(merged, end_token_id=-1, max_new_tokens=7)
    assert ids.shape == (2, 7)


@pytest.mark.parametrize(
    ("base", "dtype", "numbers", "memory", "held"),
    [
        ("bfloat16", torch.float32, [], None, torch.float32),
        ("bfloat16", torch.float32, [], 2**40, torch.float32),
        ("bfloat16", torch.float32, [], 2**10, None),  # too much for it
        ("bfloat16", torch.float32, ["bf16"], None, None),
        ("float16", torch.float32, ["bf16"], None, torch.float32),
        ("float16", torch.float32, ["fp16"], None, None),
        ("float16", torch.bfloat16, ["bf16"], None, torch.bfloat16),
        ("float32", torch.float32, [], None, None),
        ("float32", torch.bfloat16, ["bf16"], None, torch.bfloat16),
    ],
)
def test_a_base_is_held_as_its_computation_asks(
    base, dtype, numbers, memory, held, tiny_llm, monkeypatch, caplog
):
    has = numbers.__contains__
    monkeypatch.setattr(llm_loading, "processor_has", has)
    monkeypatch.setattr(llm_loading, "memory_of_machine", lambda: memory)
    lm = LanguageModel(tiny_llm, lora={"rank": 2}, dtype=base)
    assert type_to_hold(lm.model, dtype) == held
    lm.hold_for(dtype)
    found = lm.model.get_input_embeddings().weight.dtype
    assert found == (held or getattr(torch, base))
    assert ("more than half of the memory" in caplog.text) == (memory == 2**10)
