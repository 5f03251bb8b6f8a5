//! The built-in test phone: a user agent client on the same `sip` and `rtp` layers. WAV in, WAV out, DTMF, hold.
