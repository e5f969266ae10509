"""``c2ser train``: the recipes, wherever they were installed."""

import argparse
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def add_train(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    train = commands.add_parser(
        "train",
        help="run a recipe; alone: list recipes and their yamls",
        epilog="All that follows the recipe is its own: a yaml of ours by its "
        "name, or any file, and the options of the recipe's script.",
    )
    train.set_defaults(run=_train)
    train.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="such as EmotionRecognition, or C2SER/train_explicit",
    )
    train.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="YAML ..."
    )


def find_root() -> Path:
    """The folder of ``recipes`` and ``hparams``: in a wheel, or a clone.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        When they are in neither.

    Example
    -------
    >>> (find_root() / "recipes").is_dir()
    True
    """
    for root in (PACKAGE, PACKAGE.parent):
        if (root / "recipes").is_dir() and (root / "hparams").is_dir():
            return root
    raise FileNotFoundError(
        f"There are no recipes beside {PACKAGE}: install the package again."
    )


def find_script(name: str, root: Path) -> Path:
    """The script that a recipe's name means.

    Arguments
    ---------
    name : str
        Of a recipe that has one way to train, or ``RECIPE/SCRIPT``.
    root : Path
        Of :func:`find_root`.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        Names the nearest, or the scripts to choose from.

    Example
    -------
    >>> find_script("EmotionRecognition", find_root()).name
    'train.py'
    """
    recipes = _scripts(root)
    recipe, _, script = name.removesuffix(".py").partition("/")
    if recipe not in recipes:
        raise ValueError(
            f"There is no recipe {recipe!r}: {_nearest(recipe, recipes)}"
        )
    scripts = recipes[recipe]
    if not script and "train" in scripts:
        script = "train"
    if not script:
        raise ValueError(
            f"The recipe {recipe} has several scripts: give one of "
            + ", ".join(f"{recipe}/{each}" for each in scripts)
        )
    if script not in scripts:
        raise ValueError(
            f"The recipe {recipe} has no script {script!r}: "
            f"{_nearest(script, scripts)}"
        )
    return root / "recipes" / recipe / f"{script}.py"


def find_yaml(name: str, recipe: str, root: Path) -> str:
    """The file that a yaml's name means.

    Arguments
    ---------
    name : str
        A file; else the name, or the end of the path, of a yaml of ours.
    recipe : str
        Whose yamls come first.
    root : Path
        Of :func:`find_root`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        Names the nearest.

    Example
    -------
    >>> path = find_yaml("probe.yaml", "EmotionRecognition", find_root())
    >>> Path(path).parts[-2:]
    ('emotion_recognition', 'probe.yaml')
    """
    if Path(name).is_file():
        return name
    wanted = Path(name).parts
    own = _yamls(recipe, root)
    everything = sorted((root / "hparams").rglob("*.yaml"))
    for paths in (own, everything):
        fitting = [p for p in paths if p.parts[-len(wanted) :] == wanted]
        if len(fitting) > 1:
            names = ", ".join(_short(path, root) for path in fitting)
            raise ValueError(f"{name} may be any of {names}: give more of it.")
        if fitting:
            return str(fitting[0])
    names = [_short(path, root) for path in own or everything]
    import difflib

    by_name = {Path(each).name: each for each in names}
    near = difflib.get_close_matches(wanted[-1], by_name, 1)
    hint = f"the nearest is {by_name[near[0]]}" if near else "see c2ser train"
    raise ValueError(f"There is no file {name}, nor a yaml of ours: {hint}.")


def _train(options):
    root = find_root()
    if options.recipe is None:
        _list(root)
        return 0
    script = find_script(options.recipe, root)
    recipe = script.parent.name
    words, before = [], ""
    for word in options.arguments:
        option, equals, value = word.partition("=")
        if word.endswith(".yaml") and option == "--overlay" and equals:
            word = f"--overlay={find_yaml(value, recipe, root)}"
        elif word.endswith(".yaml") and not word.startswith("-"):
            if before in ("", "--overlay") or before.endswith(".yaml"):
                word = find_yaml(word, recipe, root)
        words.append(word)
        before = word
    # A process of its own: it is the script, as in a clone.
    process = subprocess.Popen([sys.executable, str(script), *words])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # it was told too, and ends as it does


def _list(root):
    print(f"Recipes of {root / 'recipes'}")
    for recipe, scripts in _scripts(root).items():
        print(f"\n{recipe}: {', '.join(scripts)}")
        for path in _yamls(recipe, root):
            print(f"  {_short(path, root)}")


def _scripts(root):
    """Recipe -> its scripts that are run: those with a line of usage."""
    return {
        folder.name: [
            path.stem
            for path in sorted(folder.glob("*.py"))
            if path.read_text(encoding="utf-8").startswith("#!")
        ]
        for folder in sorted((root / "recipes").iterdir())
        if folder.is_dir() and any(folder.glob("*.py"))
    }


def _yamls(recipe, root):
    """Yamls in the folder that is called as the recipe is."""
    wanted = recipe.lower()
    return sorted(
        path
        for folder in (root / "hparams").iterdir()
        if folder.name.replace("_", "") == wanted
        for path in folder.rglob("*.yaml")
    )


def _short(path, root):
    return str(path.relative_to(root / "hparams"))


def _nearest(name, names):
    by_case = {each.lower(): each for each in names}
    import difflib

    near = difflib.get_close_matches(name.lower(), by_case, 1, 0.4)
    if near:
        return f"the nearest is {by_case[near[0]]}."
    return f"choose one of {', '.join(names)}."
