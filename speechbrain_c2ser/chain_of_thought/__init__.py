"""Chain of thought data: style words, prompts, answers and their schedule."""
