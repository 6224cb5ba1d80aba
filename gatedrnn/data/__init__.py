"""Data below all tasks: tables, texts, audio, preparation of corpora with a report, datasets."""

from gatedrnn import lazy

_MODULES = {
    "BlockResampler": "audio",
    "DistantSpeech": "distant_speech",
    "Entry": "preparation",
    "ImpulseResponses": "distant_speech",
    "Noises": "distant_speech",
    "Policy": "preparation",
    "Report": "report",
    "SpeechDataset": "dataset",
    "Text": "text",
    "Utterance": "utterance",
    "prepare_entries": "preparation",
    "read_csv": "utterance",
    "read_lines": "text",
    "read_rows": "tables",
    "simulate_rooms": "distant_speech",
    "speech_dataset": "dataset",
    "write_atomically": "files",
    "write_csv": "utterance",
}
__all__ = list(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
