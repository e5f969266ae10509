"""The synthetic corpus: voices of espeak-ng with acted emotions."""
