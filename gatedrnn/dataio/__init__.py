"""Corpora and manifests: CSV files of SpeechBrain out of them, and datasets out of those.

Knows no model and no training. Preparation is done once, writes whole files or none, and leaves
``report.json`` beside them: every faulty item once, figures, and checks against published figures.
"""
