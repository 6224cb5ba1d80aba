"""Tables, manifests, audio files, preparation of corpora, validation of configs."""
