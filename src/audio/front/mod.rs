//! What the model hears of the line: the agent's own echo kept out, hum and DC taken off, the level made even.
//!
//! In: the caller's samples on their way to the model, at 8 or 16 kHz, and the samples that went out on RTP with the moment they did.
//! Out: the same frame, in place. Order: `echo` (it needs the line as it is), `high_pass`, `gain`. Nothing allocates after [`FrontEnd::new`] but the guard's
//! own memory (about 30 KiB), once, when the agent speaks for the first time.

pub mod echo;
mod gain;
mod high_pass;

use super::pcm::Rate;
use echo::{EchoGuard, EchoPath};
use gain::GainControl;
use high_pass::HighPass;
use std::time::Instant;

/// What is done to the caller's audio; the defaults are good for telephone lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontParams {
    /// Hum and DC are taken off.
    pub high_pass: bool,
    /// Quiet and loud callers are brought to one level.
    pub gain_control: bool,
    pub echo_guard: EchoMode,
}

impl Default for FrontParams {
    fn default() -> FrontParams {
        FrontParams { high_pass: true, gain_control: false, echo_guard: EchoMode::Auto }
    }
}

impl FrontParams {
    /// The line as it is.
    pub const OFF: FrontParams = FrontParams { high_pass: false, gain_control: false, echo_guard: EchoMode::Off };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoMode {
    /// Learns each line; costs nothing on one without echo.
    Auto,
    Off,
}

/// See the module's map.
pub struct FrontEnd {
    params: FrontParams,
    rate: Rate,
    high_pass: HighPass,
    gain: GainControl,
    guard: Option<Box<EchoGuard>>,
    /// 8 kHz for the guard, where the line has 16.
    narrow: Vec<i16>,
}

impl FrontEnd {
    /// `rate`: of the line, 8 or 16 kHz.
    pub fn new(params: FrontParams, rate: Rate) -> FrontEnd {
        FrontEnd {
            params,
            rate,
            high_pass: HighPass::new(rate.hz()),
            gain: GainControl::new(rate.hz()),
            guard: None,
            narrow: Vec::new(),
        }
    }

    /// The line's rate changed (another codec). What was learned of its echo goes on.
    pub fn set_rate(&mut self, rate: Rate) {
        if self.rate != rate {
            self.rate = rate;
            self.high_pass = HighPass::new(rate.hz());
            self.gain = GainControl::new(rate.hz());
        }
    }

    /// Exactly the samples that went out on RTP at `now`, and their rate; empty when something else took their place.
    pub fn sent(&mut self, now: Instant, rate: Rate, frame: &[i16]) {
        if self.params.echo_guard == EchoMode::Off {
            return;
        }
        if self.guard.is_none() && frame.iter().all(|s| s.unsigned_abs() < 64) {
            return;
        }
        let guard = self.guard.get_or_insert_with(Default::default);
        match rate {
            Rate::Hz8000 => guard.sent(now, frame),
            Rate::Hz16000 | Rate::Hz24000 => {
                halve(frame, &mut self.narrow);
                guard.sent(now, &self.narrow);
            }
        }
    }

    /// Samples that came, oldest first, ending at `now`; what the network lost is filled in already.
    pub fn process(&mut self, now: Instant, frame: &mut [i16]) {
        if let Some(guard) = &mut self.guard {
            match self.rate {
                Rate::Hz8000 => guard.process(now, frame),
                Rate::Hz16000 | Rate::Hz24000 => {
                    halve(frame, &mut self.narrow);
                    guard.process_wide(now, &mut self.narrow, frame);
                }
            }
        }
        if self.params.high_pass {
            self.high_pass.process(frame);
        }
        if self.params.gain_control {
            self.gain.process(frame);
        }
    }

    /// The echo of this line, if it has one.
    pub fn echo(&self) -> Option<EchoPath> {
        self.guard.as_ref().and_then(|guard| guard.path())
    }
}

/// Half the rate, for judging only: neighbours are averaged.
fn halve(wide: &[i16], narrow: &mut Vec<i16>) {
    narrow.clear();
    narrow.extend(wide.as_chunks::<2>().0.iter().map(|[a, b]| ((i32::from(*a) + i32::from(*b)) / 2) as i16));
}

#[cfg(test)]
mod tests;
