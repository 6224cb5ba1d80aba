"""The AMI meeting corpus: official annotations and recordings to CSV files of SpeechBrain."""

from __future__ import annotations

from gatedrnn.tasks.asr.corpora.ami.meetings import PARTITIONS
from gatedrnn.tasks.asr.corpora.ami.prepare import AmiOptions, prepare_ami, prepared_sets

__all__ = ["PARTITIONS", "AmiOptions", "prepare_ami", "prepared_sets"]
