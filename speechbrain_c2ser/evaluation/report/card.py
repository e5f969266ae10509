"""The text of a model card: what was trained, on what, and what it is worth.

Nothing in it is guessed: what the files do not tell is said to be unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from speechbrain_c2ser.evaluation.report.text import markdown_table

# A card of ours may be written anew; another's is never replaced.
MARK = "<!-- written by c2ser publish -->"
METRICS = {"ua": "UA", "wa": "WA", "macro_f1": "macro F1"}
PAPERS = {
    "SpeechEmotionLLM": """@article{zhao2025c2ser,
  title={Steering Language Model to Stable Speech Emotion Recognition via \
Contextual Perception and Chain of Thought},
  author={Zhao, Zhixian and Zhu, Xinfa and Wang, Xinsheng and Wang, Shuiyuan \
and Geng, Xuelong and Tian, Wenjie and Xie, Lei},
  journal={arXiv preprint arXiv:2502.18186},
  year={2025}
}""",
    "Emotion2VecS": """@inproceedings{ma2024emotion2vec,
  title={emotion2vec: Self-Supervised Pre-Training for Speech Emotion \
Representation},
  author={Ma, Ziyang and Zheng, Zhisheng and Ye, Jiaxin and Li, Jinchao and \
Gao, Zhifu and Zhang, Shiliang and Chen, Xie},
  booktitle={Findings of ACL},
  year={2024}
}""",
}
SPEECHBRAIN = """@article{ravanelli2021speechbrain,
  title={SpeechBrain: A General-Purpose Speech Toolkit},
  author={Ravanelli, Mirco and others},
  journal={arXiv preprint arXiv:2106.04624},
  year={2021}
}"""
USES = {
    "SpeechEmotionLLM": """from speechbrain_c2ser.inference import C2SER

model = C2SER.from_hparams("{name}")
print(model.classify_file("speech.wav"))""",
    "EmotionClassifier": """from speechbrain_c2ser.inference import \
EmotionClassifier

model = EmotionClassifier.from_hparams("{name}")
print(model.classify_file("speech.wav"))""",
    "Emotion2VecS": """from speechbrain_c2ser.inference import \
Emotion2VecSEncoder

model = Emotion2VecSEncoder.from_hparams("{name}")
vector = model.encode_file("speech.wav")""",
}
LIMITS = (
    "It tells how speech sounds to those who labelled its training data, not "
    "what anyone feels. Do not decide about people by it; emotion recognition "
    "at work and in schools is forbidden in the European Union, but for "
    "medicine and safety (Regulation 2024/1689, article 5).",
    "Figures hold for speech like that of the test set: other languages, "
    "voices, microphones and noise were measured only where it says so above.",
)


@dataclass(frozen=True)
class Facts:
    """What a card tells.

    Arguments
    ---------
    name : str
        Of the model.
    kind : str
        Class of the model.
    what : str
        What that is, in words.
    licence : str
        Of the weights.
    parts : list of str
        Licences of the parts.
    labels : list of str
        The emotions it tells apart.
    parameters : int
        Their number.
    languages : list of str
        That it answers in.
    run : dict | None
        run.json of the training.
    data : dict
        Split -> dict of utterances, speakers, hours, corpora, languages.
    evaluations : list of dict
        Results of ``c2ser evaluate``.
    sections : list of str
        Markdown of the suites of evidence.
    notes : list of str
        What is not known, and why.
    """

    name: str
    kind: str
    what: str
    licence: str
    parts: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    parameters: int = 0
    languages: list = field(default_factory=list)
    run: dict | None = None
    data: dict = field(default_factory=dict)
    evaluations: list = field(default_factory=list)
    sections: list = field(default_factory=list)
    notes: list = field(default_factory=list)


def card_text(facts: Facts) -> str:
    """The card's words, without the metadata block before them.

    Example
    -------
    >>> facts = Facts("me/mine", "EmotionClassifier", "a classifier", "mit")
    >>> "Not evaluated" in card_text(facts)
    True
    """
    parts = [
        MARK,
        f"# {facts.name}",
        _what(facts),
        "## Use",
        f"```python\n{USES[facts.kind].format(name=facts.name)}\n```",
        "## Training",
        *_training(facts),
        "## Figures",
        *_figures(facts),
    ]
    # The suites' headings are one level below this card's.
    parts += [section.replace("## ", "### ", 1) for section in facts.sections]
    parts += ["## Limits", _list([*LIMITS, *facts.notes])]
    named = f"The weights: {facts.licence}."
    if facts.parts:
        named += f" Parts came under {', '.join(facts.parts)}."
    papers = [PAPERS[facts.kind]] if facts.kind in PAPERS else []
    papers.append(SPEECHBRAIN)
    parts += ["## Licence", named, "## Citation"]
    parts.append("```bibtex\n" + "\n\n".join(papers) + "\n```")
    return "\n\n".join(parts) + "\n"


def _what(facts):
    words = f"This is {facts.what} with {facts.parameters:,} parameters."
    if facts.labels:
        words += f" It tells apart {', '.join(facts.labels)}."
    if facts.languages:
        words += f" It answers in {', '.join(facts.languages)}."
    return words


def _training(facts):
    if facts.run is None:
        return ["How it was trained is not known: there was no run.json."]
    versions = facts.run.get("versions", {})
    commit = (facts.run.get("git") or {}).get("commit")
    told = [
        f"- script: `{facts.run.get('script')}`",
        f"- settings: {', '.join(facts.run.get('overlays') or ['unknown'])}",
        f"- seed: {facts.run.get('seed')}",
        "- versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()),
    ]
    if commit:
        changed = (facts.run.get("git") or {}).get("modified")
        told.append(f"- commit: {commit}" + (", changed" if changed else ""))
    sections = ["\n".join(told)]
    if facts.data:
        rows = [["", "utterances", "speakers", "hours", "corpora", "languages"]]
        for split, own in facts.data.items():
            rows.append(
                [
                    split,
                    str(own["utterances"]),
                    str(own["speakers"] or "unknown"),
                    f"{own['hours']:.2f}",
                    ", ".join(own["corpora"]) or "unnamed",
                    ", ".join(own["languages"]) or "unknown",
                ]
            )
        sections.append(markdown_table(rows))
    return sections


def _figures(facts):
    if not facts.evaluations:
        return ["Not evaluated: no result of `c2ser evaluate` was given."]
    rows = [["", *METRICS.values(), "utterances", "unparsed"]]
    for result in facts.evaluations:
        figures = result["readings"][result["main"]]
        cells = []
        for metric in METRICS:
            low, high = figures["interval"][metric]
            cells.append(f"{figures[metric]:.3f} [{low:.3f}, {high:.3f}]")
        rows.append(
            [
                result.get("name", "test"),
                *cells,
                str(result["n"]),
                str(figures["unparsed"]),
            ]
        )
    classes = [["recall", *facts.evaluations[0]["labels"]]]
    for result in facts.evaluations:
        own = result["readings"][result["main"]]["per_class"]
        classes.append(
            [
                result.get("name", "test"),
                *(f"{own[label]['recall']:.2f}" for label in result["labels"]),
            ]
        )
    chance = 1 / len(facts.evaluations[0]["labels"])
    return [
        markdown_table(rows),
        "95 % intervals, bootstrap over utterances. Chance UA is "
        f"{chance:.3f}.",
        markdown_table(classes),
    ]


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
