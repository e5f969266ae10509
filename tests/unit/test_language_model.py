"""Any causal LM: modes, LoRA, loss, scores against transformers' own."""

import json
import shutil

import pytest
import torch

from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.merging import Merged, merge
from speechbrain_c2ser.lobes.speech_llm.prompt_memory import PromptMemory


def make_merged(lm, answers, padding_side="right", prompts=("a", "abc")):
    speech = torch.randn(len(prompts), 3, lm.hidden_size)
    ids = [torch.tensor(a, dtype=torch.long) for a in answers]
    return merge(
        [lm.embed(lm.tokenize(p)).detach() for p in prompts],
        speech,
        torch.tensor([3, 2])[: len(prompts)],
        torch.randn(2, lm.hidden_size),
        [lm.embed(i).detach() for i in ids],
        ids,
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
    # The vocabulary is projected to at answer positions only.
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


def test_a_prompt_read_before_is_forgotten_when_a_weight_changes(tiny_llm):
    lm = LanguageModel(tiny_llm, freeze=False)
    prompt = lm.tokenize("what is heard?")
    merged, endings = make_merged(lm, [[5], [6]]), [[[8, 9], [11]]] * 2
    before = lm.score(merged, endings, prompt)
    assert torch.equal(before, lm.score(merged, endings, prompt))
    layer = lm.model.get_decoder().layers[0].self_attn.k_proj
    with torch.no_grad():
        layer.weight.mul_(-1)
    after = lm.score(merged, endings, prompt)
    assert not torch.allclose(after, before)
    lm._memory = PromptMemory(lm.model)
    assert torch.equal(after, lm.score(merged, endings, prompt))


def test_generation_is_greedy_and_equal_to_single(lm):
    merged = make_merged(lm, [[], []], "left")
    ids = lm.generate(merged, end_token_id=0, max_new_tokens=6)
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
        one = lm.generate(item, end_token_id=0, max_new_tokens=6)
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
        chat.generate(merged, 0, max_new_tokens=8).tolist() for _ in range(3)
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


def test_missing_folder():
    with pytest.raises(ValueError, match="nowhere"):
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
    with pytest.raises((ValueError, RuntimeError), match="mlp|shape|size"):
        LanguageModel(folder)


def test_weights_that_lack_a_layer(tiny_llm, tmp_path):
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 3
    config["layer_types"] = ["full_attention"] * 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="layers.2"):
        LanguageModel(folder)


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
