"""Tokens: characters, words, SentencePiece pieces and vocabularies."""
