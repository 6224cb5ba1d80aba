"""Images and recordings with captions: the layouts of corpora, manifests, words and features."""

from gatedrnn.dataio.captions.item import KINDS, SPLITS, CaptionItem
from gatedrnn.dataio.captions.manifest import read_manifest, write_manifest
from gatedrnn.dataio.captions.prepare import (
    LAYOUTS,
    PreparedCaptions,
    check_items,
    prepare_captions,
    read_items,
)
from gatedrnn.dataio.captions.vocabulary import Vocabulary

__all__ = [
    "KINDS",
    "LAYOUTS",
    "SPLITS",
    "CaptionItem",
    "PreparedCaptions",
    "Vocabulary",
    "check_items",
    "prepare_captions",
    "read_items",
    "read_manifest",
    "write_manifest",
]
