//! The record of a call that cannot finish its own: its code panicked, or the server was cut off from it.
//!
//! Durations are monotonic and the wall clock is read once, when the call began: it may jump meanwhile (P7).

use crate::call::end::Cause;
use crate::call::{CallEnd, CallRecord};
use crate::observe::cdr::{Cdr, EndedBy};
use std::time::Instant;

pub struct Unfinished {
    cdr: Cdr,
    began: Instant,
}

impl Unfinished {
    /// `cdr`: as signalling began it, at `now`.
    pub fn new(now: Instant, cdr: Cdr) -> Unfinished {
        Unfinished { cdr, began: now }
    }

    /// As far as it goes.
    pub fn cdr(&self) -> &Cdr {
        &self.cdr
    }

    pub fn answered(&mut self, now: Instant, codec: &str) {
        let setup_ms = self.ms_since(now);
        self.cdr.setup_ms = Some(setup_ms);
        self.cdr.answered_unix_ms = Some(self.cdr.started_unix_ms + setup_ms);
        self.cdr.codec = Some(codec.to_owned());
        self.cdr.sip_status = 200;
    }

    pub fn finish(&self, now: Instant, by: EndedBy, cause: Cause) -> Box<CallRecord> {
        let (mut cdr, lasted) = (self.cdr.clone(), self.ms_since(now));
        cdr.ended_unix_ms = cdr.started_unix_ms + lasted;
        cdr.talk_ms = cdr.setup_ms.map_or(0, |setup| lasted.saturating_sub(setup));
        cdr.ended(by, cause.label());
        if cdr.sip_status == 0 {
            cdr.sip_status = 500;
        }
        Box::new(CallRecord { end: CallEnd { by, cause }, cdr, transcript: Vec::new() })
    }

    fn ms_since(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;
    use std::time::Duration;

    /// OVL-05, P7: what the record of a panicked call says, whatever the wall clock says by then.
    #[test]
    fn a_panicked_calls_record_is_complete() {
        let began = clock::now();
        let at = |ms| began + Duration::from_millis(ms);
        for (answered, status, talk_ms) in [(true, 200, 4_800), (false, 500, 0)] {
            let mut record = Unfinished::new(began, Cdr { started_unix_ms: 1_000, ..Cdr::default() });
            if answered {
                record.answered(at(200), "PCMU");
            }
            let cdr = record.finish(at(5_000), EndedBy::Fault, Cause::Panic).cdr;
            assert_eq!((cdr.cause.as_str(), cdr.sip_status, cdr.ended_by), ("panic", status, Some(EndedBy::Fault)));
            assert_eq!((cdr.talk_ms, cdr.ended_unix_ms), (talk_ms, 6_000));
            assert_eq!((cdr.setup_ms, cdr.answered_unix_ms), (answered.then_some(200), answered.then_some(1_200)));
        }
    }
}
