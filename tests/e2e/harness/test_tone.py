"""Tones are found again."""

from pathlib import Path

import numpy as np
import pytest

from parley.testkit.phones.tone import (
    Recording,
    dominant_frequency,
    read_wav,
    tone_level,
    write_tone,
)


def test_written_tone_is_measured(tmp_path: Path) -> None:
    recording = read_wav(write_tone(tmp_path / "a.wav", 440.5, seconds=1.0, level_dbfs=-12))
    assert recording.duration_s == 1.0
    assert dominant_frequency(recording.samples, recording.rate) == pytest.approx(440.5, abs=0.2)
    assert tone_level(recording.samples, 8000, 440.5) == pytest.approx(-12, abs=0.1)
    assert tone_level(recording.samples, 8000, 660) < -40
    assert recording.tone_s(440.5) == pytest.approx(1.0)
    assert recording.tone_s(660) == 0


def test_silence_holds_no_tone() -> None:
    silence = Recording(8000, np.zeros(8000))
    assert silence.tone_s(440) == 0
    assert dominant_frequency(silence.samples, 8000) == 0.0
    assert tone_level(silence.samples[:0], 8000, 440) == -120.0
