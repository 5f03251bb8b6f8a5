//! What the agent says: one entry a segment, with its text and what of it was heard.
//!
//! In: segment events of the session, the ledger of the downlink. Out: the words the caller really heard, once each.
//! Text usually comes long before its audio has been played, so it waits here until the segment is over.

use crate::audio::playout::Heard;
use crate::realtime::SegmentId;
use std::collections::VecDeque;
use std::time::Instant;

/// Segments of ours (apology), never known to the session, are counted from here.
pub(super) const LOCAL: u64 = 1 << 63;
/// Entries kept; the playout ledger keeps half of that.
const KEPT: usize = 64;

#[derive(Debug)]
struct Entry {
    id: SegmentId,
    began: Instant,
    /// More audio may come.
    open: bool,
    /// Audio was pushed.
    sounded: bool,
    /// The caller or hold cut it; what still comes is dropped.
    cut: Option<Heard>,
    /// Played to the end, or cut.
    over: bool,
    text: Option<String>,
}

/// Words that were heard, and when the segment began.
pub(super) struct Said {
    pub began: Instant,
    pub text: String,
}

/// See the module's map.
#[derive(Debug, Default)]
pub(super) struct Segments {
    entries: VecDeque<Entry>,
}

impl Segments {
    pub fn begin(&mut self, now: Instant, id: SegmentId) {
        if self.find(id).is_some() {
            return;
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            id,
            began: now,
            open: true,
            sounded: false,
            cut: None,
            over: false,
            text: None,
        });
    }

    /// Audio came; `false` = it belongs to a segment that was cut (or forgotten) and must be dropped.
    pub fn takes_audio(&mut self, now: Instant, id: SegmentId) -> bool {
        self.begin(now, id);
        let Some(entry) = self.find(id) else { return false };
        if entry.cut.is_none() {
            entry.sounded = true;
        }
        entry.cut.is_none()
    }

    pub fn end(&mut self, id: SegmentId) -> Option<Said> {
        let entry = self.find(id)?;
        entry.open = false;
        entry.over |= !entry.sounded;
        entry.say()
    }

    /// No segment gets more audio (the session is gone); those that were open.
    pub fn end_all(&mut self) -> Vec<SegmentId> {
        let open: Vec<SegmentId> = self.open().collect();
        self.entries.iter_mut().for_each(|e| e.open = false);
        open
    }

    pub fn open(&self) -> impl Iterator<Item = SegmentId> {
        self.entries.iter().filter(|e| e.open && e.cut.is_none()).map(|e| e.id)
    }

    /// The final transcript.
    pub fn text(&mut self, id: SegmentId, text: String) -> Option<Said> {
        let entry = self.find(id)?;
        entry.text = Some(text);
        entry.say()
    }

    /// The last sample went out.
    pub fn played(&mut self, id: SegmentId) -> Option<Said> {
        let entry = self.find(id)?;
        entry.over = true;
        entry.say()
    }

    /// Cut after `heard`.
    pub fn cut(&mut self, now: Instant, heard: Heard) -> Option<Said> {
        self.begin(now, SegmentId(heard.segment));
        let entry = self.find(SegmentId(heard.segment))?;
        (entry.cut, entry.over, entry.open) = (Some(heard), true, false);
        entry.say()
    }

    /// The call ends: what was heard of everything not told yet. `heard` asks the ledger.
    pub fn close(&mut self, heard: impl Fn(u64) -> Option<Heard>) -> Vec<Said> {
        let rest = self.entries.iter_mut().filter(|e| !e.over);
        rest.filter_map(|entry| {
            (entry.cut, entry.over) = (heard(entry.id.0).or(Some(unheard(entry.id))), true);
            entry.say()
        })
        .collect()
    }

    fn find(&mut self, id: SegmentId) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|e| e.id == id)
    }
}

/// A segment of which nothing was sent.
pub(super) fn unheard(id: SegmentId) -> Heard {
    Heard { segment: id.0, heard_ms: 0, received_ms: 0 }
}

impl Entry {
    fn say(&mut self) -> Option<Said> {
        if !self.over {
            return None;
        }
        let text = self.text.take()?;
        let text = match self.cut {
            None => text,
            Some(heard) => cut_text(&text, heard),
        };
        (!text.is_empty()).then_some(Said { began: self.began, text })
    }
}

/// The share of the words that was heard, marked `…`: text and audio have no alignment, so it is proportional.
fn cut_text(text: &str, heard: Heard) -> String {
    if heard.heard_ms == 0 {
        return String::new();
    }
    if heard.heard_ms >= heard.received_ms {
        return text.to_owned();
    }
    let letters = text.chars().count() as u64;
    let kept = letters * u64::from(heard.heard_ms) / u64::from(heard.received_ms);
    let mut out: String = text.chars().take(kept as usize).collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock;

    fn heard(segment: u64, heard_ms: u32, received_ms: u32) -> Heard {
        Heard { segment, heard_ms, received_ms }
    }

    #[test]
    fn text_waits_for_the_last_sample() {
        let now = clock::now();
        let mut s = Segments::default();
        s.begin(now, SegmentId(1));
        assert!(s.takes_audio(now, SegmentId(1)));
        assert!(s.text(SegmentId(1), "Good morning".into()).is_none());
        assert!(s.end(SegmentId(1)).is_none());
        assert_eq!(s.played(SegmentId(1)).expect("said").text, "Good morning");
    }

    /// R14: the transcript holds what was heard, not what was generated.
    #[test]
    fn cut_text_is_proportional() {
        let now = clock::now();
        let mut s = Segments::default();
        s.takes_audio(now, SegmentId(1));
        s.text(SegmentId(1), "0123456789".into());
        assert_eq!(s.cut(now, heard(1, 500, 1000)).expect("said").text, "01234…");
        assert!(!s.takes_audio(now, SegmentId(1)), "late audio is dropped");
    }

    #[test]
    fn late_text_of_a_cut_segment_is_cut_too() {
        let now = clock::now();
        let mut s = Segments::default();
        s.takes_audio(now, SegmentId(1));
        assert!(s.cut(now, heard(1, 250, 1000)).is_none());
        assert_eq!(s.text(SegmentId(1), "äbcdefgh".into()).expect("said").text, "äb…");
    }

    #[test]
    fn unheard_words_were_never_said() {
        let now = clock::now();
        let mut s = Segments::default();
        s.takes_audio(now, SegmentId(1));
        s.text(SegmentId(1), "secret".into());
        assert!(s.close(|_| None).is_empty());
    }
}
