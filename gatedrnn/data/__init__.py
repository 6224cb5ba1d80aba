"""Data below all tasks: tables, texts, audio, preparation of corpora with a report, datasets."""

from __future__ import annotations

import importlib
from typing import Any

#: Public name -> module, imported when the name is used: torch and torchaudio take seconds.
_PUBLIC = {
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
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
