//! The phone's audio: the script's turn and one frame at each packet interval; what comes, recorded.

use super::{Phone, PhoneEvent, PhoneOutput};
use crate::audio::pcm::Rate;
use crate::audio::resample;
use crate::phone::activity::Change;
use crate::phone::script::{Action, Senses};
use crate::rtp::receiver::Received;
use crate::sip::user_agent::UaCommand;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is being said.
pub(super) struct Clip {
    samples: Arc<[i16]>,
    position: usize,
}

/// The frame clock of a call in progress.
pub(super) struct Pace {
    pub start: Instant,
    pub frames: u64,
    pub interval: Duration,
}

impl Pace {
    pub fn due(&self) -> Instant {
        self.start + self.interval * u32::try_from(self.frames).unwrap_or(u32::MAX)
    }
}

impl Phone {
    pub(super) fn drain_receiver(&mut self, now: Instant) {
        let (Some(rtp), Some(pace), Some(media)) = (&mut self.rtp, &self.pace, &self.media) else { return };
        let elapsed = now.saturating_duration_since(pace.start).as_micros() as usize * self.tracks.rate.per_ms() / 1000;
        while let Some(received) = rtp.receiver.poll(now) {
            match received {
                Received::Audio { payload_type, payload, timestamp, .. } => {
                    let Some((_, codec)) = media.receive.iter().find(|(pt, _)| *pt == payload_type) else { continue };
                    self.frame.clear();
                    self.decoder.decode(*codec, payload, &mut self.frame);
                    at_rate(&mut self.frame, codec.rate(), self.tracks.rate);
                    self.tracks.received(timestamp, elapsed, &self.frame);
                    match self.activity.frame(&self.frame, (self.frame.len() / self.tracks.rate.per_ms()) as u32) {
                        Some(Change::Started) => self.outputs.push_back(PhoneOutput::Event(PhoneEvent::AgentSpeaks)),
                        Some(Change::Stopped) => self.outputs.push_back(PhoneOutput::Event(PhoneEvent::AgentStops)),
                        None => {}
                    }
                }
                Received::Digit { event, .. } => {
                    let digit = b"0123456789*#ABCD".get(usize::from(event)).map_or('?', |b| char::from(*b));
                    self.measured.digits.push(digit);
                    self.outputs.push_back(PhoneOutput::Event(PhoneEvent::DigitReceived(digit)));
                }
                Received::ComfortNoise { .. } => {}
            }
        }
    }

    /// One packet interval: the script's turn, then one frame.
    pub(super) fn interval(&mut self, now: Instant, stalled: bool) {
        let Some(pace) = &mut self.pace else { return };
        pace.frames += 1;
        if self.hangup_after.is_some_and(|after| now.saturating_duration_since(pace.start) >= after) {
            self.hangup_after = None;
            self.hang_up(now);
        }
        let senses = Senses {
            agent: &self.activity,
            playing: self.clip.is_some(),
            sending_digits: self.sender.is_sending_digits(),
        };
        if let Some(action) = self.script.tick(now, &senses) {
            self.act(now, action);
        }
        self.send_frame(stalled);
    }

    fn act(&mut self, now: Instant, action: Action) {
        let event = match action {
            Action::Play { name, samples } => {
                // Files, converted whole: no call of the server goes this way.
                let line = self.encoder.rate().hz();
                let samples = match resample::convert(&samples, self.clip_rate.hz(), line) {
                    Some(converted) if line != self.clip_rate.hz() => converted.into(),
                    _ => samples,
                };
                self.clip = Some(Clip { samples, position: 0 });
                PhoneEvent::CallerSpeaks(name)
            }
            Action::Digits(digits) if self.sender.send_digits(&digits) => PhoneEvent::Digits(digits),
            Action::Digits(_) => PhoneEvent::ScriptNote("digits not sent: no telephone-event was negotiated"),
            Action::Hold(hold) => {
                self.negotiation.set_hold(hold);
                let sdp = Some(self.negotiation.offer());
                self.ua.command(now, UaCommand::Reinvite { session: self.session, sdp });
                PhoneEvent::Held(hold)
            }
            Action::Hangup => return self.hang_up(now),
            Action::TimedOut(what) => PhoneEvent::ScriptNote(what),
        };
        self.outputs.push_back(PhoneOutput::Event(event));
    }

    fn send_frame(&mut self, stalled: bool) {
        let (Some(media), Some(rtp)) = (&self.media, &mut self.rtp) else { return };
        let samples = self.encoder.rate().samples(media.ptime_ms as usize);
        self.frame.clear();
        let mut spoken = false;
        if let Some(clip) = &mut self.clip {
            let rest = clip.samples.get(clip.position..).unwrap_or_default();
            self.frame.extend(rest.iter().take(samples));
            clip.position += self.frame.len();
            spoken = clip.position >= clip.samples.len();
        }
        if spoken {
            self.clip = None;
            self.outputs.push_back(PhoneOutput::Event(PhoneEvent::CallerStops));
        }
        self.frame.resize(samples, 0);
        if self.encoder.rate() == self.tracks.rate {
            self.tracks.sent(&self.frame);
        } else {
            let mut recorded = self.frame.clone();
            at_rate(&mut recorded, self.encoder.rate(), self.tracks.rate);
            self.tracks.sent(&recorded);
        }
        let Some(to) = rtp.receiver.target().filter(|_| media.direction.sends() && !stalled) else {
            return self.sender.skip(1);
        };
        self.codes.clear();
        self.encoder.encode(&self.frame, &mut self.codes);
        self.sender.frame(&self.codes, &mut self.packet);
        loop {
            if rtp.protect(&mut self.packet) {
                self.outputs.push_back(PhoneOutput::Rtp { to, bytes: self.packet.clone() });
            }
            if !self.sender.extra(&mut self.packet) {
                return;
            }
        }
    }
}

/// A frame for the recording, when the codec's rate is no longer that of the call's first one.
fn at_rate(frame: &mut Vec<i16>, from: Rate, to: Rate) {
    if from != to
        && let Some(converted) = resample::convert(frame, from.hz(), to.hz())
    {
        *frame = converted;
    }
}
