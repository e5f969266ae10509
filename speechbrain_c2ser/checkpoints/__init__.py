"""Official checkpoints and our folders."""
