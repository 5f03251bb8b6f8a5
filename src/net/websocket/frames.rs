//! WebSocket frames of a client (RFC 6455 §5): headers by tungstenite, bytes in buffers of ours.
//!
//! All sockets of a worker are read into one [`Inbox`] and framed into one buffer: a socket of its own keeps only what did not come
//! whole or did not go out, so a call costs no buffers and its messages are read where the cache already is.
//! In: bytes of the stream. Out: [`Event`]s, in order; [`frame`] for the other way.

use crate::net::entropy;
use std::io::Cursor;
use std::ops::Range;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// A whole reply can come in one delta.
const MAX_MESSAGE: usize = 16 << 20;
/// Free room before each read.
const ROOM: usize = 16 << 10;
/// What is left of a frame up to this size is copied to and fro; a larger rest moves with its buffer.
const COPIED: usize = 64 << 10;
/// An empty buffer above this size is given back.
const KEPT: usize = 1 << 20;
/// Buffer a socket keeps for rests of frames.
const KEPT_REST: usize = 4 << 10;

/// Where a worker reads its sockets, one after the other.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Zeroed once, then overwritten by each read.
    bytes: Vec<u8>,
    /// What is read and not taken yet.
    ready: Range<usize>,
    /// Bytes behind it that were read and are not known to be frames yet: records of TLS.
    sealed: usize,
    /// A message that came in several frames.
    joined: Vec<u8>,
}

impl Inbox {
    /// Room for one read.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let end = self.ready.end + self.sealed;
        if self.bytes.len() < end + ROOM {
            self.bytes.resize(end + ROOM, 0);
        }
        &mut self.bytes[end..]
    }
    /// `n` bytes were read there.
    pub(super) fn filled(&mut self, n: usize) {
        self.sealed = (self.sealed + n).min(self.bytes.len() - self.ready.end);
    }
    /// Puts bytes there.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(ROOM) {
            self.room()[..part.len()].copy_from_slice(part);
            self.filled(part.len());
        }
    }
    /// What was read and is not known to be frames yet.
    pub(super) fn sealed(&mut self) -> &mut [u8] {
        let end = self.ready.end + self.sealed;
        self.bytes.get_mut(self.ready.end..end).unwrap_or_default()
    }
    /// The first `taken` bytes of these were `plain` bytes of frames, which lie at their beginning now.
    pub(super) fn opened(&mut self, plain: usize, taken: usize) {
        let taken = taken.min(self.sealed);
        let (begin, end) = (self.ready.end, self.ready.end + self.sealed);
        self.ready.end += plain.min(taken);
        self.sealed -= taken;
        if plain < taken && self.sealed > 0 {
            self.bytes.copy_within(begin + taken..end, self.ready.end);
        }
    }
    pub(super) fn text(&self, place: Place) -> Result<&str, String> {
        let bytes = match place {
            Place::Here(range) => self.bytes.get(range).unwrap_or_default(),
            Place::Joined => &self.joined,
        };
        std::str::from_utf8(bytes).map_err(|_| "a text message is not UTF-8".to_owned())
    }
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

/// Where a message lies in the [`Inbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Here(Range<usize>),
    Joined,
}

/// What the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Text(Place),
    /// Its payload goes back in a pong.
    Ping(Range<usize>),
    Close {
        code: Option<u16>,
        reason: String,
    },
}

/// The read side of one socket.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes of a frame that is still to come whole.
    rest: Vec<u8>,
    /// Frames of a message that goes on; whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

impl Frames {
    /// What came behind the head of the handshake.
    pub fn new(rest: Vec<u8>) -> Frames {
        Frames { rest, message: None }
    }

    /// Begins a round: what was left goes in front of what will be read.
    pub fn begin(&mut self, inbox: &mut Inbox) {
        let length = self.rest.len();
        inbox.ready = 0..length;
        inbox.sealed = 0;
        if length > COPIED {
            inbox.bytes = std::mem::take(&mut self.rest);
        } else if length > 0 {
            inbox.bytes.resize(inbox.bytes.len().max(length), 0);
            inbox.bytes[..length].copy_from_slice(&self.rest);
            self.rest.clear();
            self.rest.shrink_to(KEPT_REST);
        }
    }

    /// Ends it: what was not taken stays for the next round.
    pub fn end(&mut self, inbox: &mut Inbox) {
        let ready = std::mem::take(&mut inbox.ready);
        if ready.len() > COPIED {
            inbox.bytes.truncate(ready.end);
            inbox.bytes.drain(..ready.start);
            self.rest = std::mem::take(&mut inbox.bytes);
        } else {
            self.rest.extend_from_slice(inbox.bytes(ready));
        }
        if inbox.bytes.len() > KEPT {
            inbox.bytes = Vec::new();
        }
        if inbox.joined.capacity() > KEPT {
            inbox.joined = Vec::new();
        }
    }

    /// The next thing in `inbox`. `None`: nothing whole is left. `Err`: the peer broke the protocol, or a limit; nothing may follow.
    pub fn next(&mut self, inbox: &mut Inbox) -> Result<Option<Event>, String> {
        loop {
            let mut cursor = Cursor::new(inbox.bytes(inbox.ready.clone()));
            let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|e| e.to_string())? else {
                return Ok(None);
            };
            self.check(&header, length)?;
            let begin = inbox.ready.start + cursor.position() as usize;
            let payload = begin..begin + length as usize;
            if payload.end > inbox.ready.end {
                return Ok(None);
            }
            inbox.ready.start = payload.end;
            match header.opcode {
                OpCode::Control(Control::Ping) => return Ok(Some(Event::Ping(payload))),
                OpCode::Control(Control::Close) => return close(inbox.bytes(payload)).map(Some),
                OpCode::Control(_) => {}
                OpCode::Data(data) => {
                    if let Some(place) = self.data(data, header.is_final, payload, inbox)? {
                        return Ok(Some(Event::Text(place)));
                    }
                }
            }
        }
    }

    /// Before anything is stored for the frame. `parse` has refused reserved opcodes.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), String> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err("a reserved bit is set".into());
        }
        if header.mask.is_some() {
            return Err("the service masked a frame".into());
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > 125 => Err("a control frame is too long".into()),
            OpCode::Control(_) => Ok(()),
            OpCode::Data(data) => {
                let joined = self.message.as_ref().map_or(0, |(_, bytes)| bytes.len());
                match (data, &self.message) {
                    (Data::Continue, None) => Err("a message goes on that never began".into()),
                    (Data::Text | Data::Binary, Some(_)) => Err("a message begins inside another one".into()),
                    _ if length > (MAX_MESSAGE - joined) as u64 => Err("a message is longer than 16 MiB".into()),
                    _ => Ok(()),
                }
            }
        }
    }

    fn data(
        &mut self,
        data: Data,
        is_final: bool,
        payload: Range<usize>,
        inbox: &mut Inbox,
    ) -> Result<Option<Place>, String> {
        if is_final && data == Data::Text {
            return Ok(Some(Place::Here(payload)));
        }
        if is_final && data == Data::Binary {
            return Ok(None);
        }
        let (text, message) = self.message.get_or_insert_with(|| (data == Data::Text, Vec::new()));
        message.extend_from_slice(inbox.bytes.get(payload).unwrap_or_default());
        if !is_final {
            return Ok(None);
        }
        let text = *text;
        inbox.joined = self.message.take().map(|(_, bytes)| bytes).unwrap_or_default();
        Ok(text.then_some(Place::Joined))
    }
}

/// RFC 6455 §5.5.1: nothing, or a status and a reason.
fn close(payload: &[u8]) -> Result<Event, String> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Event::Close { code: None, reason: "closed without a reason".into() }),
            _ => Err("a close frame holds half a status".into()),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(format!("a close frame has the status {code}"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| "the reason of a close frame is not UTF-8".to_owned())?;
    Ok(Event::Close { code: Some(code), reason: reason.to_owned() })
}

/// Puts one whole frame, masked (§5.3), into `out` (cleared first), behind `front` octets for the layer below.
pub(super) fn frame(opcode: OpCode, payload: &[u8], front: usize, out: &mut Vec<u8>) {
    out.clear();
    out.resize(front, 0);
    let mask = entropy::mask();
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    header.format(payload.len() as u64, out).expect("a vector takes what is written to it");
    let begin = out.len();
    out.extend_from_slice(payload);
    // 16 bytes at once: plain SSE2.
    let wide: [u8; 16] = std::array::from_fn(|i| mask[i % 4]);
    let (blocks, tail) = out[begin..].as_chunks_mut::<16>();
    for block in blocks {
        for (byte, mask) in block.iter_mut().zip(wide) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in tail.iter_mut().zip(wide) {
        *byte ^= mask;
    }
}

/// Of a text message.
pub(super) const TEXT: OpCode = OpCode::Data(Data::Text);
/// The answer to a ping.
pub(super) const PONG: OpCode = OpCode::Control(Control::Pong);
pub(super) const CLOSE: OpCode = OpCode::Control(Control::Close);

#[cfg(test)]
mod tests;
