#!/usr/bin/env python3
"""PESQ (ITU-T P.862, narrow band) of degraded recordings against their references (REF DEGRADED …), all 8 kHz mono 16-bit WAV.

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


files = sys.argv[1:]
scores = [round(float(pesq(8000, read(files[n]), read(files[n + 1]), "nb")), 3) for n in range(0, len(files), 2)]
print(json.dumps({"pesq_nb": scores[0], "each": scores}))
