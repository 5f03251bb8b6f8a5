#!/usr/bin/env bash
# Renders assets/speech/{agent,caller}/*.wav from assets/speech/lines.toml. Run it after a change of that file, then commit both.
#
#   scripts/render-speech.sh [NAME...]      all clips, or only the named ones
#
# Needs: python >= 3.11 with venv, and the command `flite` (Debian: apt-get install flite).
# It makes a virtual environment with hibari-tts 0.2.1 (Apache-2.0, weights inside the wheel) in $RENDER_VENV
# (default: a temporary directory). Agent lines: hibari, voice "heart". Caller lines: flite, voice "rms".
# The seed is fixed, so a repeated run gives the same clips on the same library versions.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v flite >/dev/null || { echo "render-speech: install flite first (Debian: apt-get install flite)" >&2; exit 1; }
venv=${RENDER_VENV:-$(mktemp -d)/venv}
[ -x "$venv/bin/python" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'hibari-tts==0.2.1'; }
exec "$venv/bin/python" - "$@" <<'PY'
import os, subprocess, sys, tempfile, tomllib, wave
import numpy as np
from hibari.tts import Hibari

TARGET_DBFS = -20.0
OUT_HZ = 8000
lines = tomllib.load(open("assets/speech/lines.toml", "rb"))
wanted = set(sys.argv[1:])
tts = Hibari()


def agent(text):
    return np.asarray(tts(text, seed=7), dtype=np.float64).reshape(-1), 24000


def caller(text):
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "line.wav")
        subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", path], check=True)
        with wave.open(path) as w:
            pcm = np.frombuffer(w.readframes(w.getnframes()), dtype="<i2")
            return pcm.astype(np.float64) / 32768.0, w.getframerate()


def to_8k(x, hz):
    """Windowed-sinc decimation by a whole factor, flat to 3.4 kHz."""
    factor = hz // OUT_HZ
    assert factor * OUT_HZ == hz, hz
    if factor == 1:
        return x
    taps = 64 * factor + 1
    n = np.arange(taps) - taps // 2
    kernel = np.sinc(2 * 3700.0 / hz * n) * np.kaiser(taps, 8.0)
    return np.convolve(x, kernel / kernel.sum(), mode="same")[::factor]


def trim(x, floor_db=-45.0, keep_ms=30):
    """Cuts leading and trailing parts whose 10 ms frames stay below the floor, relative to the loudest frame."""
    frame = OUT_HZ // 100
    rms = np.sqrt((x[: len(x) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)) + 1e-9
    loud = np.nonzero(20 * np.log10(rms / rms.max()) > floor_db)[0]
    keep = keep_ms * OUT_HZ // 1000
    return x[max(0, loud[0] * frame - keep): (loud[-1] + 1) * frame + keep]


def tighten(x, longest_ms=160, floor_db=-40.0):
    """Shortens inner pauses, so that one caller line is one turn even for a detector that waits only 200 ms."""
    frame = OUT_HZ // 100
    frames = x[: len(x) // frame * frame].reshape(-1, frame)
    rms = np.sqrt((frames**2).mean(axis=1)) + 1e-9
    quiet = 20 * np.log10(rms / rms.max()) <= floor_db
    kept, run = [], 0
    for f, q in zip(frames, quiet):
        run = run + 1 if q else 0
        if run <= longest_ms // 10:
            kept.append(f)
    return np.concatenate(kept)


def level(x):
    """-20 dBFS RMS over the frames that are speech; peaks stay below -1 dBFS."""
    frame = OUT_HZ // 50
    rms = np.sqrt((x[: len(x) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))
    active = rms[rms > rms.max() * 0.05]
    gain = 10 ** (TARGET_DBFS / 20) / np.sqrt((active**2).mean())
    return x * min(gain, 0.89 / np.abs(x).max())


total = 0
for side, render in (("agent", agent), ("caller", caller)):
    for name, text in lines[side].items():
        if wanted and name not in wanted:
            continue
        x = trim(to_8k(*render(text)))
        x = level(tighten(x) if side == "caller" else x)
        path = f"assets/speech/{side}/{name}.wav"
        with wave.open(path, "wb") as w:
            w.setnchannels(1)
            w.setsampwidth(2)
            w.setframerate(OUT_HZ)
            w.writeframes(np.round(x * 32767).astype("<i2").tobytes())
        total += os.path.getsize(path)
        print(f"{path}: {len(x) / OUT_HZ:.2f} s, {20 * np.log10(np.sqrt((x**2).mean())):.1f} dBFS")
print(f"{total} bytes")
PY
