"""The pictures of a report, drawn by matplotlib without a screen."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from speechbrain_c2ser.data.atomic import written_beside

# Distinct also for the colour-blind; more than ten labels repeat a
# colour with another marker.
COLOURS = (
    "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #000000 #999933 "
    "#882255 #777777"
).split()
MARKERS = "o^sDvP"


def confusion_matrix(
    targets: list[str],
    predictions: list[str | None],
    labels: list[str],
    title: str,
    path: str | Path,
) -> np.ndarray:
    """Draw who was taken for whom, in percent of each true label.

    Arguments
    ---------
    targets : list of str
        True labels.
    predictions : list[str] | None
        Answers; None (no label in the answer) has a column of its own.
    labels : list of str
        Rows and columns, in this order.
    title : str
        Heading of the picture.
    path : str | Path
        The PNG to write.

    Returns
    -------
    np.ndarray
        Counts [L, L + 1]; the last column holds the unparsed answers.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     counts = confusion_matrix(
    ...         ["a", "a", "b"],
    ...         ["a", None, "b"],
    ...         ["a", "b"],
    ...         "toy",
    ...         f"{folder}/toy.png",
    ...     )
    >>> counts.tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    place = {label: index for index, label in enumerate(labels)}
    place[None] = len(labels)
    counts = np.zeros((len(labels), len(labels) + 1), dtype=int)
    for target, prediction in zip(targets, predictions, strict=True):
        counts[place[target], place[prediction]] += 1
    percent = 100 * counts / counts.sum(1, keepdims=True).clip(1)
    columns = [*labels, "no label"]
    if not counts[:, -1].any():
        percent, columns = percent[:, :-1], list(labels)

    side = 2.2 + 0.62 * len(columns)
    figure, (axes,) = canvas(1, side, side - 0.4)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for (row, column), value in np.ndenumerate(percent):
        axes.text(
            column,
            row,
            f"{value:.0f}",
            ha="center",
            va="center",
            color="white" if value > 55 else "black",
        )
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.set_title(f"{title}\n(% of each true label)", fontsize=10)
    save(figure, path)
    return counts


def learning_curves(logs, path: str | Path) -> None:
    """Draw every stage's losses over its epochs, a panel per stage.

    Arguments
    ---------
    logs : dict of str to list of dict
        Stage name to its epochs, each with "epoch" and numeric values.
        Drawn are those whose name ends in "loss", or all if none does.
    path : str | Path
        The PNG to write.

    Example
    -------
    >>> import tempfile
    >>> epochs = [{"epoch": 1, "train_loss": 2.0}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     learning_curves({"toy": epochs}, f"{folder}/toy.png")
    """
    figure, panels = canvas(len(logs), 4.2 * len(logs), 3.2)
    for axes, (stage, epochs) in zip(panels, logs.items(), strict=True):
        names = sorted({n for epoch in epochs for n in epoch} - {"epoch"})
        losses = [name for name in names if name.endswith("loss")]
        drawn = []
        for index, name in enumerate(losses or names):
            points = [(e["epoch"], e[name]) for e in epochs if name in e]
            drawn += [value for _, value in points]
            axes.plot(
                *zip(*points, strict=True),
                marker=".",
                color=COLOURS[index % len(COLOURS)],
                label=name.replace("_", " "),
            )
        if min(drawn) > 0 and max(drawn) > 30 * min(drawn):
            axes.set_yscale("log")
        axes.set_title(stage)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    panels[0].set_ylabel("loss")
    save(figure, path)


def embedding_maps(embeddings, path: str | Path, seed: int = 0) -> None:
    """Draw 2-D maps of utterance embeddings, coloured by emotion.

    The map is t-SNE after PCA to at most 50 dimensions: near points are
    alike, far distances and the axes mean nothing.

    Arguments
    ---------
    embeddings : dict of str to (np.ndarray, sequence of str)
        Panel title to vectors [N, D] and their N emotions.
    path : str | Path
        The PNG to write.
    seed : int
        Of t-SNE.

    Example
    -------
    >>> import tempfile
    >>> vectors = np.random.default_rng(0).normal(size=(8, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     embedding_maps(
    ...         {"toy": (vectors, list("aabbaabb"))}, f"{folder}/toy.png"
    ...     )
    """
    figure, panels = canvas(len(embeddings), 4.6 * len(embeddings), 4.4)
    names = sorted({e for _, emotions in embeddings.values() for e in emotions})
    for axes, (title, (vectors, emotions)) in zip(
        panels, embeddings.items(), strict=True
    ):
        points = flatten_to_plane(vectors, seed)
        emotions = np.asarray(emotions)
        for index, name in enumerate(names):
            axes.scatter(
                *points[emotions == name].T,
                s=14,
                label=name,
                color=COLOURS[index % len(COLOURS)],
                marker=MARKERS[index // len(COLOURS) % len(MARKERS)],
            )
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
    panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    save(figure, path)


def flatten_to_plane(vectors, seed=0):
    """Vectors [N, D] to points [N, 2], neighbours kept together.

    Example
    -------
    >>> flatten_to_plane(np.eye(6)).shape
    (6, 2)
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    vectors = vectors - vectors.mean(0)
    # Unit length: the map compares by cosine, as the probe does.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / lengths.clip(1e-9)
    count, size = vectors.shape
    kept = min(50, count, size)
    reduced = PCA(n_components=kept, random_state=seed).fit_transform(vectors)
    perplexity = min(30, (count - 1) / 3)
    if perplexity < 1 or kept < 2:
        return np.pad(reduced, ((0, 0), (0, 2)))[:, :2]
    return TSNE(
        init="pca", perplexity=perplexity, random_state=seed
    ).fit_transform(reduced)


def canvas(panels, width, height):
    """A figure with `panels` axes side by side, sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def save(figure, path) -> None:
    """Write the PNG in one piece."""
    with written_beside(path) as part:
        figure.savefig(part, dpi=110, format="png")
