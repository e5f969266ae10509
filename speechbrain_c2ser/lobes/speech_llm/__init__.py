"""C2SER itself: perception, connector, language model."""
