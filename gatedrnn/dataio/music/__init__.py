"""Polyphonic music: piano rolls of 88 keys, frame by frame, and the files that hold them."""

from gatedrnn.dataio.music.corpora import CORPORA, read_music
from gatedrnn.dataio.music.rolls import HIGHEST, KEYS, LOWEST, Music, MusicCorpus

__all__ = ["CORPORA", "HIGHEST", "KEYS", "LOWEST", "Music", "MusicCorpus", "read_music"]
