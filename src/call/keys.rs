//! Keys towards the caller's side, for the `send_dtmf` tool: by events, by INFO, or as tones (DTM-01).
//!
//! The way is the trunk's `media.dtmf`; left to `auto`, events where they were negotiated, else tones.

use super::machine::Call;
use crate::sip::user_agent::UaCommand;
use crate::trunk::DtmfWay;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// From one INFO to the next: the tone, its pause, and time for the answer.
const SPACING: Duration = Duration::from_millis(250);
/// What a `,` waits.
const PAUSE: Duration = Duration::from_secs(1);
/// Keys that may wait.
const MOST: usize = 64;

/// Keys on their way out by INFO, one at a time.
#[derive(Debug, Default)]
pub(super) struct InfoKeys {
    queue: VecDeque<char>,
    next: Option<Instant>,
}

impl InfoKeys {
    pub fn is_sending(&self) -> bool {
        !self.queue.is_empty() || self.next.is_some()
    }
    pub fn timeout(&self) -> Option<Instant> {
        self.next
    }
    fn push(&mut self, keys: &str) -> bool {
        let fits = self.queue.len() + keys.len() <= MOST;
        if fits {
            self.queue.extend(keys.chars());
        }
        fits
    }
    /// The key that is due.
    fn due(&mut self, now: Instant) -> Option<char> {
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        let key = self.queue.pop_front();
        self.next = key.map(|key| now + if key == ',' { PAUSE } else { SPACING });
        key.filter(|key| *key != ',')
    }
}

impl Call {
    /// Sends keys the trunk's way; all of them, or an error that says why none.
    pub(super) fn send_keys(&mut self, keys: &str) -> Result<(), &'static str> {
        let way = self.trunk.as_ref().map_or(DtmfWay::Auto, |trunk| trunk.media.dtmf);
        let Some(media) = self.media.as_mut().filter(|media| !media.is_hold()) else {
            return Err("the line takes no digits now");
        };
        let events = media.params.dtmf_send.is_some();
        let taken = match way {
            DtmfWay::Rfc4733 if !events => return Err("the other side takes no digits on this line"),
            DtmfWay::Info => self.tools.info.push(keys),
            DtmfWay::Auto | DtmfWay::Rfc4733 if events => media.downlink.send_digits(keys),
            DtmfWay::Auto | DtmfWay::Rfc4733 | DtmfWay::Inband => media.downlink.send_tones(keys),
        };
        if taken { Ok(()) } else { Err("too many digits wait to be sent; none of these was") }
    }

    pub(super) fn info_clock(&mut self, now: Instant) {
        if let Some(key) = self.tools.info.due(now) {
            let body = format!("Signal={key}\r\nDuration=100\r\n").into_bytes();
            let (session, content_type) = (self.id, "application/dtmf-relay".to_owned());
            self.sip(UaCommand::Info { session, content_type, body });
        }
    }
}
