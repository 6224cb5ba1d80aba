"""Spellings of AMI's transcripts."""

from __future__ import annotations

import pytest

from gatedrnn.tasks.asr.corpora.ami.segments import kaldi, plain


@pytest.mark.parametrize(
    ("text", "as_plain", "as_kaldi"),
    [
        # What Kaldi's script makes of it, but for its bug, which loses "UM" and "I".
        (
            "YEAH UM,I THINK THE L_C_D T_V_ MM-HMM ANTI-TRUST",
            "YEAH UM I THINK THE LCD TV MM HMM ANTI TRUST",
            "YEAH UM I THINK THE L. C. D T. V. MM-HMM ANTI TRUST",
        ),
        ("T_V_s , and L_C_D_'s .", "TVS AND LCD'S", "T. V. S AND L. C. D. 'S"),
        ("uh huh uh-huh Mm hmm", "UH HUH UH HUH MM HMM", "UH-HUH UH-HUH MM-HMM"),
        ("hmm mm hmmm", "HMM MM HMMM", "HMM MM HMMM"),
        ("I- .. @'s ?", "I 'S", "I 'S"),
        ("'Kay it's", "'KAY IT'S", "'KAY IT'S"),
        ("_ - ...", "", ""),
    ],
)
def test_spellings(text, as_plain, as_kaldi):
    assert plain(text) == as_plain
    assert kaldi(text) == as_kaldi
