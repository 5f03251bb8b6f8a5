#!/usr/bin/env python3
"""PESQ (ITU-T P.862, narrow band) of a degraded recording against its reference, both 8 kHz mono 16-bit WAV.

Prints one JSON object. The `pesq` package is from PyPI; nothing else is used to read the files but the standard library.
"""
import json
import sys
import wave

import numpy as np
from pesq import pesq


def read(path):
    with wave.open(path, "rb") as w:
        assert w.getframerate() == 8000 and w.getsampwidth() == 2 and w.getnchannels() == 1, path
        return np.frombuffer(w.readframes(w.getnframes()), dtype=np.int16)


reference, degraded = read(sys.argv[1]), read(sys.argv[2])
print(json.dumps({"pesq_nb": round(float(pesq(8000, reference, degraded, "nb")), 3)}))
