"""The error of manifests that cannot be used."""


class ManifestError(ValueError):
    """A manifest, or what it points at, is not usable."""
