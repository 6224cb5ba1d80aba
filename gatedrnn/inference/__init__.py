"""A trained model in use: bundles, transcription, streaming."""
