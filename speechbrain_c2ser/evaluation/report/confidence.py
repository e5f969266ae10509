"""Pictures of a model's confidence: reliability, accuracy over coverage."""

from pathlib import Path

from speechbrain_c2ser.evaluation.report.pictures import COLOURS, canvas, save


def reliability_diagram(bins: list[dict], ece: float, path: str | Path) -> None:
    """Draw accuracy over confidence; the diagonal is perfect calibration.

    Arguments
    ---------
    bins : list of dict
        As `speechbrain_c2ser.evaluation.metrics.reliability_bins` gives
        them.
    ece : float
        Expected calibration error, for the title.
    path : str | Path
        The PNG to write.

    Example
    -------
    >>> import tempfile
    >>> bins = [{"low": 0.0, "high": 1.0, "n": 4, "confidence": 0.8,
    ...     "accuracy": 0.5}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     reliability_diagram(bins, 0.3, f"{folder}/toy.png")
    """
    figure, (axes,) = canvas(1, 4.4, 4.2)
    total = sum(row["n"] for row in bins)
    for row in (row for row in bins if row["n"]):
        axes.bar(
            row["low"],
            row["accuracy"],
            row["high"] - row["low"],
            align="edge",
            color=COLOURS[0],
            # Bins that hold little are pale.
            alpha=0.25 + 0.75 * row["n"] / total,
            edgecolor="white",
        )
        axes.plot(
            row["confidence"], row["accuracy"], "o", color=COLOURS[1], ms=4
        )
    axes.plot([0, 1], [0, 1], "--", color="grey", lw=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.set_title(f"reliability, ECE {100 * ece:.1f} %", fontsize=10)
    save(figure, path)


def coverage_curve(selective: dict, path: str | Path) -> None:
    """Draw accuracy on the most confident share of the utterances.

    Arguments
    ---------
    selective : dict
        As `speechbrain_c2ser.evaluation.metrics.selective_accuracy` gives
        it.
    path : str | Path
        The PNG to write.

    Example
    -------
    >>> import tempfile
    >>> toy = {"coverage": [0.5, 1.0], "accuracy": [1.0, 0.5], "area": 0.75}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     coverage_curve(toy, f"{folder}/toy.png")
    """
    figure, (axes,) = canvas(1, 4.6, 3.8)
    axes.plot(
        selective["coverage"],
        selective["accuracy"],
        ".-",
        ms=3,
        color=COLOURS[0],
    )
    axes.axhline(selective["accuracy"][-1], ls="--", color="grey", lw=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="coverage", ylabel="accuracy")
    axes.set_title(
        f"accuracy against coverage, mean {100 * selective['area']:.1f} %",
        fontsize=10,
    )
    axes.grid(alpha=0.3)
    save(figure, path)
