"""Speech encoders: waveforms to frames."""
