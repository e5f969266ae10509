"""The report of a run, and the page of an evaluation."""
