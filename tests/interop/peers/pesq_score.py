#!/usr/bin/env python3
"""PESQ of degraded recordings against their references (REF DEGRADED …), mono 16-bit WAV: narrow band (ITU-T P.862) at 8 kHz, wide band
(P.862.2) at 16 kHz.

Prints one JSON object. The `pesq` package is from PyPI; nothing else is used to read the files but the standard library.
"""
import json
import sys
import wave

import numpy as np
from pesq import pesq


def read(path):
    with wave.open(path, "rb") as w:
        assert w.getframerate() in (8000, 16000) and w.getsampwidth() == 2 and w.getnchannels() == 1, path
        return w.getframerate(), np.frombuffer(w.readframes(w.getnframes()), dtype=np.int16)


def score(reference, degraded):
    (rate, said), (other, heard) = read(reference), read(degraded)
    assert rate == other, (reference, degraded)
    return round(float(pesq(rate, said, heard, "nb" if rate == 8000 else "wb")), 3)


files = sys.argv[1:]
scores = [score(files[n], files[n + 1]) for n in range(0, len(files), 2)]
print(json.dumps({"pesq_nb": scores[0], "each": scores}))
