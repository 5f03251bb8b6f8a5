//! Agent speech: one segment per assistant audio part (item and content index), its received audio and its transcript.
//!
//! Provider ids come in, [`SegmentId`]s go out. A PCM sample split between deltas is put together per part.

use crate::base64;
use crate::realtime::{AudioFormat, SegmentId};
use std::collections::VecDeque;

/// Segments remembered for a late `Interrupt` or transcript.
const REMEMBERED: usize = 64;
/// Transcript gathered from deltas, in bytes, for the case that the final one never comes.
const MAX_GATHERED: usize = 16 * 1024;

/// Where an audio part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartId<'a> {
    pub response: &'a str,
    pub item: &'a str,
    pub content_index: u32,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub id: SegmentId,
    pub item: String,
    pub content_index: u32,
    pub response: String,
    /// Caller turn when it began.
    pub turn: u64,
    pub bytes: u64,
    /// First half of a PCM sample.
    half: Option<u8>,
    /// Audio has come.
    pub started: bool,
    /// Audio may still come.
    pub open: bool,
    /// The caller cut it; what the server was told about it is final.
    pub interrupted: bool,
    gathered: String,
    final_text: Option<String>,
    text_told: bool,
}

impl Segment {
    /// Decodes a piece into `audio` (cleared first); half a sample at its end is kept for the next one. `None`: not base64.
    fn decode(&mut self, pcm: bool, delta: &str, audio: &mut Vec<u8>) -> Option<()> {
        // The decoder reserves exactly what it needs; the half sample is one byte more.
        audio.clear();
        audio.reserve(delta.len() / 4 * 3 + 4);
        audio.extend(self.half);
        base64::decode_append(delta, audio)?;
        self.half = if pcm && audio.len() % 2 == 1 { audio.pop() } else { None };
        self.bytes += audio.len() as u64;
        Some(())
    }
}

/// What an audio delta gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delta {
    /// For a part that has ended.
    Late,
    NotBase64,
    /// Less than a sample.
    Nothing,
    Audio {
        segment: SegmentId,
        started: bool,
        audio: Vec<u8>,
    },
}

pub(super) struct Segments {
    format: AudioFormat,
    list: VecDeque<Segment>,
    last: u64,
}

impl Segments {
    pub fn new(format: AudioFormat) -> Segments {
        Segments { format, list: VecDeque::new(), last: 0 }
    }

    /// `audio`: a buffer to decode into.
    pub fn audio(&mut self, part: PartId<'_>, turn: u64, delta: &str, mut audio: Vec<u8>) -> Delta {
        let pcm = self.format == AudioFormat::Pcm24k;
        let segment = self.part(part, turn);
        if !segment.open {
            return Delta::Late;
        }
        if segment.decode(pcm, delta, &mut audio).is_none() {
            return Delta::NotBase64;
        }
        if audio.is_empty() {
            return Delta::Nothing;
        }
        let started = !std::mem::replace(&mut segment.started, true);
        Delta::Audio { segment: segment.id, started, audio }
    }

    /// As [`Self::audio`], of a segment that sounds already; into `audio`. `None`: it does not, or that is not base64; nothing was done.
    pub fn next_piece(&mut self, part: PartId<'_>, delta: &str, audio: &mut Vec<u8>) -> Option<SegmentId> {
        let pcm = self.format == AudioFormat::Pcm24k;
        let index = self.position(part)?;
        let segment = self.list.get_mut(index).filter(|segment| segment.open && segment.started)?;
        segment.decode(pcm, delta, audio)?;
        Some(segment.id)
    }

    /// The part's segment, made if it is new.
    fn part(&mut self, part: PartId<'_>, turn: u64) -> &mut Segment {
        let known = self.position(part);
        let index = known.unwrap_or_else(|| {
            if self.list.len() == REMEMBERED {
                self.list.pop_front();
            }
            self.last += 1;
            self.list.push_back(Segment {
                id: SegmentId(self.last),
                item: part.item.to_owned(),
                content_index: part.content_index,
                response: part.response.to_owned(),
                turn,
                bytes: 0,
                half: None,
                started: false,
                open: true,
                interrupted: false,
                gathered: String::new(),
                final_text: None,
                text_told: false,
            });
            self.list.len() - 1
        });
        &mut self.list[index]
    }

    /// Without an item id, parts are told apart by response.
    fn position(&self, part: PartId<'_>) -> Option<usize> {
        self.list.iter().rposition(|s| {
            s.item == part.item
                && s.content_index == part.content_index
                && (!part.item.is_empty() || s.response == part.response)
        })
    }

    /// A piece of transcript; it may come before the first audio.
    pub fn gather_text(&mut self, part: PartId<'_>, turn: u64, piece: &str) {
        let segment = self.part(part, turn);
        if segment.gathered.len() + piece.len() <= MAX_GATHERED {
            segment.gathered.push_str(piece);
        }
    }

    /// The final transcript of a part; empty ones are no news.
    pub fn final_text(&mut self, part: PartId<'_>, text: &str) {
        if let Some(segment) = self.position(part).and_then(|i| self.list.get_mut(i))
            && !text.trim().is_empty()
            && segment.final_text.is_none()
        {
            segment.final_text = Some(text.trim().to_owned());
        }
    }

    /// Makes the part known, for a transcript that comes ahead of any delta.
    pub fn expect(&mut self, part: PartId<'_>, turn: u64) {
        self.part(part, turn);
    }

    /// Final transcripts that have not been told, of segments that were heard of; each comes once.
    pub fn take_texts(&mut self) -> Vec<(SegmentId, String)> {
        let mut texts = Vec::new();
        for segment in self.list.iter_mut().filter(|s| s.started && !s.text_told) {
            if let Some(text) = segment.final_text.take() {
                segment.text_told = true;
                texts.push((segment.id, text));
            }
        }
        texts
    }

    /// The part has all its audio. `None`: it had ended, or never spoke.
    pub fn end_part(&mut self, part: PartId<'_>) -> Option<SegmentId> {
        let segment = self.position(part).and_then(|i| self.list.get_mut(i))?;
        (std::mem::replace(&mut segment.open, false) && segment.started).then_some(segment.id)
    }

    /// Every part of the item has all its audio.
    pub fn end_item(&mut self, item: &str) -> Vec<SegmentId> {
        self.end_where(|s| !item.is_empty() && s.item == item)
    }

    /// The response is over or cut off. Gathered transcripts become final where no better one came.
    pub fn end_response(&mut self, response: &str, over: bool) -> Vec<SegmentId> {
        for segment in self.list.iter_mut().filter(|s| over && s.response == response) {
            if segment.final_text.is_none() && !segment.text_told && !segment.gathered.is_empty() {
                segment.final_text = Some(std::mem::take(&mut segment.gathered).trim().to_owned());
            }
        }
        self.end_where(|s| s.response == response)
    }

    fn end_where(&mut self, which: impl Fn(&Segment) -> bool) -> Vec<SegmentId> {
        let mut ended = Vec::new();
        for segment in self.list.iter_mut().filter(|s| s.open && which(s)) {
            segment.open = false;
            if segment.started {
                ended.push(segment.id);
            }
        }
        ended
    }

    pub fn get(&self, id: SegmentId) -> Option<&Segment> {
        self.list.iter().rfind(|s| s.id == id)
    }

    pub fn mark_interrupted(&mut self, id: SegmentId) {
        if let Some(segment) = self.list.iter_mut().rfind(|s| s.id == id) {
            segment.interrupted = true;
        }
    }

    /// Whether the item has other parts with audio.
    pub fn has_siblings(&self, segment: &Segment) -> bool {
        self.list.iter().any(|s| s.item == segment.item && s.id != segment.id && s.started)
    }

    /// Whole milliseconds, rounded down, so that a truncation never points behind the audio.
    pub fn received_ms(&self, segment: &Segment) -> u32 {
        u32::try_from(segment.bytes / self.format.bytes_per_ms() as u64).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: PartId<'static> = PartId { response: "r", item: "i", content_index: 0 };

    fn encoded(bytes: &[u8]) -> String {
        let mut text = String::new();
        base64::encode_append(bytes, &mut text);
        text
    }

    #[test]
    fn a_sample_split_between_deltas_is_put_together() {
        let mut segments = Segments::new(AudioFormat::Pcm24k);
        let all: Vec<u8> = (0..=99).collect();
        let mut got = Vec::new();
        for (n, piece) in [&all[..3], &all[3..4], &all[4..4], &all[4..51], &all[51..]].into_iter().enumerate() {
            match segments.audio(PART, 0, &encoded(piece), Vec::new()) {
                Delta::Audio { segment, started, audio } => {
                    assert_eq!((segment, started), (SegmentId(1), n == 0));
                    assert_eq!(audio.len() % 2, 0);
                    got.extend(audio);
                }
                other => assert_eq!((n, other), (2, Delta::Nothing)),
            }
        }
        assert_eq!(got, all);
        let other = PartId { item: "j", ..PART };
        assert!(
            matches!(segments.audio(other, 0, &encoded(&[1]), Vec::new()), Delta::Nothing),
            "halves are kept per part"
        );
        assert!(
            matches!(segments.audio(other, 0, &encoded(&[2]), Vec::new()), Delta::Audio { audio, .. } if audio == [1, 2])
        );
    }

    #[test]
    fn g711_has_no_half_samples() {
        let mut segments = Segments::new(AudioFormat::Pcmu);
        assert!(
            matches!(segments.audio(PART, 0, &encoded(&[1, 2, 3]), Vec::new()), Delta::Audio { audio, .. } if audio.len() == 3)
        );
        let segment = segments.get(SegmentId(1)).expect("segment");
        assert_eq!(segments.received_ms(segment), 0);
    }

    #[test]
    fn a_part_speaks_no_more_after_its_end_and_ends_once() {
        let mut segments = Segments::new(AudioFormat::Pcmu);
        segments.audio(PART, 0, "AAAA", Vec::new());
        assert_eq!(segments.end_part(PART), Some(SegmentId(1)));
        assert_eq!(segments.end_part(PART), None);
        assert_eq!(segments.end_response("r", true), []);
        assert_eq!(segments.audio(PART, 0, "AAAA", Vec::new()), Delta::Late);
    }

    #[test]
    fn transcript_is_told_once_and_only_of_what_spoke() {
        let mut segments = Segments::new(AudioFormat::Pcmu);
        segments.gather_text(PART, 0, "Hel");
        segments.final_text(PART, "Hello");
        assert_eq!(segments.take_texts(), []);
        segments.audio(PART, 0, "AAAA", Vec::new());
        assert_eq!(segments.take_texts(), [(SegmentId(1), "Hello".to_owned())]);
        segments.final_text(PART, "Hello");
        segments.end_response("r", true);
        assert_eq!(segments.take_texts(), []);
    }

    #[test]
    fn gathered_text_stands_in_for_a_missing_final_one() {
        let mut segments = Segments::new(AudioFormat::Pcmu);
        segments.audio(PART, 0, "AAAA", Vec::new());
        segments.gather_text(PART, 0, "Good ");
        segments.gather_text(PART, 0, "day");
        segments.end_response("r", true);
        assert_eq!(segments.take_texts(), [(SegmentId(1), "Good day".to_owned())]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut segments = Segments::new(AudioFormat::Pcmu);
        for n in 0..1000 {
            segments.audio(PartId { item: &n.to_string(), ..PART }, 0, "AAAA", Vec::new());
        }
        assert_eq!(segments.list.len(), REMEMBERED);
        assert!(segments.get(SegmentId(1)).is_none() && segments.get(SegmentId(1000)).is_some());
    }
}
