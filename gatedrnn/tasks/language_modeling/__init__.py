"""Language models, their evaluation, and rescoring of n-best lists."""

from __future__ import annotations

from gatedrnn import lazy

_MODULES = {
    "DynamicEvaluation": "evaluation",
    "EvaluationOptions": "evaluation",
    "GenerationOptions": "decode",
    "LMWeights": "rescoring",
    "LanguageModel": "bundle",
    "TextModel": "model",
    "evaluate_file": "apply",
    "generate": "decode",
    "load_language_model": "bundle",
    "log_probs": "apply",
    "read_nbest": "rescoring",
    "rescore_sets": "rescoring",
    "train_lm": "train",
}
__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
