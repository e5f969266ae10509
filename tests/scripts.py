"""Scripts of the repository as modules."""

import importlib
import importlib.util
import sys
from contextlib import contextmanager


def load_script(path):
    """A script alone, afresh; others of its name stay what they are."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def scripts_in(folder):
    """importlib.import_module, for scripts that import one another."""
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))
