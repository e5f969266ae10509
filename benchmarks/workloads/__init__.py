"""What the benchmarks do: files answered, epochs trained."""
