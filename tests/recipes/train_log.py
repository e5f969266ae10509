"""What a run writes of its epochs."""

import json


def read_log(output):
    """Its lines, one of each epoch."""
    lines = (output / "train_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
