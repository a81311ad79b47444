"""Tones: made into WAV files for phones to play, found again in what phones recorded."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
_FULL_SCALE = 32768.0
_SILENCE_DBFS = -120.0


@dataclass(frozen=True, slots=True)
class Recording:
    """Mono audio; samples are between -1 and 1."""

    rate: int
    samples: Samples

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    def windows(self, window_s: float = 0.1) -> list[Samples]:
        """The recording in pieces of equal length; a shorter rest is left out."""
        size = int(self.rate * window_s)
        whole = len(self.samples) // size
        return list(self.samples[: whole * size].reshape(whole, size))

    def tone_s(self, hz: float, min_dbfs: float = -40.0, window_s: float = 0.1) -> float:
        """Seconds in which `hz` is the strongest frequency and at least that loud."""
        return window_s * sum(
            tone_level(window, self.rate, hz) >= min_dbfs
            and abs(dominant_frequency(window, self.rate) - hz) <= 0.5 / window_s
            for window in self.windows(window_s)
        )


def read_wav(path: Path) -> Recording:
    """Reads a 16-bit WAV file; of more channels the first."""
    with wave.open(str(path), "rb") as source:
        if source.getsampwidth() != 2:
            raise ValueError(f"{path} does not hold 16-bit samples.")
        channels, rate = source.getnchannels(), source.getframerate()
        data = np.frombuffer(source.readframes(source.getnframes()), "<i2")
    return Recording(rate, data[::channels].astype(np.float64) / _FULL_SCALE)


def write_tone(path: Path, hz: float, seconds: float = 30.0, level_dbfs: float = -12.0) -> Path:
    """Writes a sine as 16-bit mono WAV at 8 kHz, what a G.711 phone plays unchanged."""
    rate = 8000
    time_s = np.arange(int(rate * seconds)) / rate
    samples = 10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * time_s)
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes((samples * (_FULL_SCALE - 1)).astype("<i2").tobytes())
    return path


def dominant_frequency(samples: Samples, rate: int) -> float:
    """Frequency of the strongest spectral line in Hz, between bins by a parabola; 0 in silence."""
    if len(samples) < 4 or not np.any(samples):
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    spectrum[0] = 0.0
    peak = int(np.argmax(spectrum))
    shift = 0.0
    if 0 < peak < len(spectrum) - 1:
        left, mid, right = np.log(spectrum[peak - 1 : peak + 2] + 1e-12)
        bend = left - 2 * mid + right
        shift = float(0.5 * (left - right) / bend) if bend else 0.0
    return (peak + shift) * rate / len(samples)


def tone_level(samples: Samples, rate: int, hz: float) -> float:
    """Level of one frequency in dB below a full-scale sine (Goertzel's sum in closed form)."""
    if not len(samples):
        return _SILENCE_DBFS
    turn = np.exp(-2j * np.pi * hz / rate * np.arange(len(samples)))
    amplitude = 2 * abs(complex(np.dot(samples, turn))) / len(samples)
    return max(_SILENCE_DBFS, float(20 * np.log10(amplitude + 1e-12)))
