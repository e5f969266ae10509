"""Published corpora: each file turns one into our manifests."""
