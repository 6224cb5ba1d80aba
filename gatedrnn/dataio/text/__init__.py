"""Running text for language models: lines with their faults mended, and the layouts of corpora."""

from gatedrnn.dataio.text.corpora import CORPORA, Corpus, read_corpus
from gatedrnn.dataio.text.lines import Text, read_lines, read_text

__all__ = ["CORPORA", "Corpus", "Text", "read_corpus", "read_lines", "read_text"]
