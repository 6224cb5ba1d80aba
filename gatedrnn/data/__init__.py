"""Data below all tasks: tables, texts, audio, preparation of corpora with a report, datasets."""

from gatedrnn import lazy

_MODULES = {
    "BlockResampler": "audio",
    "DistantSpeech": "dataset",
    "Entry": "preparation",
    "ImpulseResponses": "dataset",
    "Noises": "dataset",
    "Policy": "preparation",
    "Report": "report",
    "SpeechDataset": "dataset",
    "Text": "tables",
    "Utterance": "tables",
    "prepare_entries": "preparation",
    "read_csv": "tables",
    "read_lines": "tables",
    "read_rows": "tables",
    "simulate_rooms": "dataset",
    "speech_dataset": "dataset",
    "write_atomically": "files",
    "write_csv": "tables",
}
__all__ = list(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
