"""Neural building blocks: no files, no data, no text templates."""
