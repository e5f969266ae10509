"""Objects that remember what they were built with.

A saved model must be rebuilt exactly as it was. Remembering the constructor's
arguments at construction makes the description that is saved the one that was
used, however the object came to be (a yaml, a recipe, a converter).
"""

import functools
import inspect


def remember_arguments(cls):
    """Class decorator: keep the constructor's arguments on the instance.

    Arguments
    ---------
    cls : type
        Class whose constructor takes named arguments only (no ``*args``,
        no ``**kwargs``): numbers, strings, None, lists, dicts, or other
        objects that remember theirs.

    Returns
    -------
    type
        The same class; instances get ``constructor_arguments``, a dict with
        the defaults filled in, without those that the class names in
        ``training_only``: they change nothing in a trained model.

    Example
    -------
    >>> @remember_arguments
    ... class Scale:
    ...     def __init__(self, factor, offset=0):
    ...         self.product = factor * 2
    >>> Scale(3).constructor_arguments
    {'factor': 3, 'offset': 0}
    """
    signature = inspect.signature(cls.__init__)
    # what has no constructor of its own has that of any module
    signature = signature.replace(
        parameters=[
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind
            not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    )
    construct = cls.__init__

    @functools.wraps(construct)
    def remembering(self, *args, **kwargs):
        # A subclass that calls up must not lose its own arguments.
        if "constructor_arguments" not in self.__dict__:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            arguments = dict(list(bound.arguments.items())[1:])
            for name in getattr(type(self), "training_only", ()):
                arguments.pop(name, None)
            self.__dict__["constructor_arguments"] = arguments
        construct(self, *args, **kwargs)

    cls.__init__ = remembering
    return cls
