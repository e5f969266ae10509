"""Manifests, datasets, splits, batches; the corpora they are made from."""
