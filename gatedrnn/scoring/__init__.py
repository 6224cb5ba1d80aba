"""Scores of recognisers: error rates that can be trusted, and files for NIST's scoring tools."""

from gatedrnn.scoring.comparison import compare
from gatedrnn.scoring.cpwer import score_meetings
from gatedrnn.scoring.formats import read
from gatedrnn.scoring.measures import Options, score
from gatedrnn.scoring.transcript import Transcript, Transcripts

__all__ = ["Options", "Transcript", "Transcripts", "compare", "read", "score", "score_meetings"]
