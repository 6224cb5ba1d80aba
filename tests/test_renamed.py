"""Dotted names of earlier releases still lead to what they named."""

import importlib
import pydoc
import sys

import pytest

from gatedrnn import renamed


@pytest.mark.parametrize("old", sorted(renamed.RENAMED))
def test_old_name_resolves(old):
    module, _, name = renamed.RENAMED[old].rpartition(".")
    expected = getattr(importlib.import_module(module), name)
    with pytest.warns(FutureWarning, match=old.replace(".", r"\.")):
        assert pydoc.locate(old) is expected


def test_from_import_of_a_module_that_is_gone():
    with pytest.warns(FutureWarning, match="gatedrnn.inference.Recogniser is now"):
        from gatedrnn.inference import Recogniser
    assert Recogniser.__module__.startswith("gatedrnn.tasks.asr")


@pytest.mark.parametrize(
    "line",
    [  # of the README of 0.1
        "from gatedrnn.inference import Bundle, Recogniser, Streamer",
        "from gatedrnn.inference.config import BundleConfig",
        "from gatedrnn.inference.frontend import Frontend",
        "from gatedrnn.lobes.specification import RecogniserSpec",
        "from gatedrnn.training.tokens import Characters",
        "from gatedrnn.decoding.nbest import Candidate, NBest",
        "from gatedrnn.decoding.rescoring import score_lists, tune",
        "from gatedrnn.lobes import TextModel",
        "from gatedrnn.training.text_tokens import TextWords",
        "from gatedrnn.decoding.captions import CaptionSearch, search",
        "from gatedrnn.lobes.captions import CaptionDecoder, Captioner, ImageEncoder",
        "from gatedrnn.scoring.captions import Captions, Options, score",
    ],
)
def test_imports_of_earlier_examples(line):
    with pytest.warns(FutureWarning, match="is now"):
        exec(line, {})


def test_unknown_names_are_unknown():
    with pytest.raises(ImportError):
        importlib.import_module("gatedrnn.inference.nothing")
    with pytest.raises(ImportError):
        exec("from gatedrnn.inference import Nothing")
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        importlib.import_module("gatedrnn.lobes").Nothing  # noqa: B018


def test_the_finder_is_installed_once_and_last():
    renamed.install()
    finders = [f for f in sys.meta_path if type(f).__name__ == "_OldModules"]
    assert len(finders) == 1
