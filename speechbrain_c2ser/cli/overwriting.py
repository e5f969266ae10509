"""What results may not take the place of."""

import os

from speechbrain_c2ser.cli.channels import as_row


def check_not_input(
    output: str | None, words: list[str], recordings: list
) -> None:
    """Refuse results in place of what they are made of.

    Arguments
    ---------
    output : str | None
        File or folder; None = standard output.
    words : list of str
        Files and lists of the command line.
    recordings : list
        Of :func:`~speechbrain_c2ser.cli.inputs.find_recordings`.

    Raises
    ------
    ValueError
        If the output is one of them, under whatever name.
    """
    if output is None or not os.path.isfile(output):
        return
    for each in [*words, *recordings]:
        path = as_row(each)["wav"]
        if os.path.isfile(path) and os.path.samefile(path, output):
            raise ValueError(
                f"{output} is an input and would be overwritten: give another "
                "-o."
            )


def check_not_model(output: str | None, model: str) -> None:
    """Refuse results in place of the model.

    Arguments
    ---------
    output : str | None
        File or folder; None = standard output.
    model : str
        Folder; a hub id is never written to.

    Raises
    ------
    ValueError
        If the output is a file of the model.
    """
    if output is None or not os.path.isfile(output):
        return
    from speechbrain_c2ser.checkpoints.replacing import files_of

    if any(path.samefile(output) for path in files_of(model)):
        raise ValueError(
            f"{output} is a file of the model and would be overwritten: give "
            "another -o."
        )
