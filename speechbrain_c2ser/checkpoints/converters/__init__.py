"""Official checkpoints to our folders."""
