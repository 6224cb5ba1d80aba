"""Our networks inside SpeechBrain's own code, at every place that takes a recurrent network."""
