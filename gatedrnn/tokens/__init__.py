"""Tokens: characters, words, SentencePiece pieces and words of captions, with special symbols."""

from gatedrnn.modules.softmax import IGNORE
from gatedrnn.tokens.files import (
    from_dict,
    learn,
    learn_once,
    load,
    load_vocabulary,
    read_text_tokens,
    save,
)  # fmt: skip
from gatedrnn.tokens.tokens import (
    BLANK,
    BLANK_NAME,
    EOS,
    EOS_NAME,
    UNKNOWN,
    UNKNOWN_NAME,
    Characters,
    Encoded,
    Pieces,
    Tokens,
    Vocabulary,
    Words,
    plain_words,
)  # fmt: skip

__all__ = [
    "BLANK", "BLANK_NAME", "EOS", "EOS_NAME", "IGNORE", "UNKNOWN", "UNKNOWN_NAME", "Characters",
    "Encoded", "Pieces", "Tokens", "Vocabulary", "Words", "from_dict", "learn", "learn_once",
    "load", "load_vocabulary", "plain_words", "read_text_tokens", "save",
]  # fmt: skip
