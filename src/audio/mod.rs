//! Audio, pure: codecs, the line's rate ↔ 24 k, concealment, the play-out queue with its ledger, tones, WAV; `front`: what the model hears.
//!
//! `splice` shortens and lengthens unheard, `scratch` has the buffers a packet needs, `comfort` is RFC 3389. Samples are `i16`, mono. No allocation per frame in steady state.
//! `quality` judges a recording against what was played.

pub mod codec;
pub mod comfort;
pub mod conceal;
pub mod dtmf_detect;
pub mod dtmf_send;
pub mod front;
pub mod g711;
pub mod g722;
pub mod level;
pub mod line;
pub mod pcm;
pub mod playout;
pub mod quality;
pub mod resample;
pub mod scratch;
pub mod splice;
pub mod standing;
pub mod tone;
pub mod wav;
