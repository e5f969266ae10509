"""Corpora: each file turns one kind of source into our manifests."""
