//! A TLS connection past its handshake: records in and out in buffers of the worker, so that a call costs no buffers of its own and a
//! message is decrypted where it was received. rustls makes the keys, ours are the records (RFC 8446 §4.6, §5, §6; RFC 5246 §7.2, §7.4.1).
//!
//! In: bytes of the socket. Out: payload, at the place where its records were; what to tell the peer goes in front of the next payload.

use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, FRONT, Fault, HANDSHAKE, Half, MAX_PAYLOAD, first};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{ExtractedSecrets, ProtocolVersion};

/// A message of the handshake, in pieces: the longest that rustls takes.
const MAX_HANDSHAKE: usize = 64 << 10;
/// What a record without payload costs its sender, and what a message of the handshake costs besides, which may make new keys (3 µs). A
/// record with payload pays one back. So nobody keeps a worker busy, neither with new keys alone nor with payload between them.
const RECORD_COST: u16 = 8;
const MESSAGE_COST: u16 = 120;
/// Who owes more is let go.
const MAX_COST: u16 = 1024;
/// Buffer kept for rests of records.
const KEPT_REST: usize = 4 << 10;

const HELLO_REQUEST: u8 = 0;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// Alerts (RFC 8446 §6).
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;
const USER_CANCELED: u8 = 90;
const NO_RENEGOTIATION: u8 = 100;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Why nothing comes any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub why: String,
    /// What the peer is to be told with [`Session::alert`]. `None`: it knows.
    alert: Option<u8>,
}

/// What [`Session::open`] made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Octets of payload, at the beginning of the bytes.
    pub payload: usize,
    /// Octets of records that they were; what follows came not whole.
    pub taken: usize,
    pub ended: Option<Ended>,
}

/// The machine of one connection. What each record needs stands first and together: a call's memory is cold when its message comes.
#[repr(C)]
pub struct Session {
    tls13: bool,
    /// What the peer owes for records without payload.
    cost: u16,
    /// The peer is owed a key update.
    owes_update: bool,
    /// The peer is owed a refusal of a new handshake.
    owes_refusal: bool,
    /// An alert ended the connection, theirs or ours.
    over: bool,
    /// A record that has not come whole.
    rest: Vec<u8>,
    /// A message of the handshake that goes on in the next record.
    message: Vec<u8>,
    receive: Half,
    send: Half,
    secrets: KernelConnection<ClientConnectionData>,
}

impl Session {
    /// `rest`: what came behind the handshake. `None`: a cipher that we did not offer.
    pub fn new(
        agreed: ExtractedSecrets,
        secrets: KernelConnection<ClientConnectionData>,
        rest: Vec<u8>,
    ) -> Option<Session> {
        let tls13 = secrets.protocol_version() == ProtocolVersion::TLSv1_3;
        Some(Session {
            send: Half::new(tls13, agreed.tx)?,
            receive: Half::new(tls13, agreed.rx)?,
            secrets,
            tls13,
            rest,
            message: Vec::new(),
            cost: 0,
            owes_update: false,
            owes_refusal: false,
            over: false,
        })
    }

    /// Begins a round: the record that had not come whole.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Ends it: `rest` is what was not taken.
    pub fn keep(&mut self, rest: &[u8]) {
        self.rest.clear();
        self.rest.shrink_to(KEPT_REST);
        self.rest.extend_from_slice(rest);
    }

    /// Opens the whole records at the beginning of `bytes`.
    pub fn open(&mut self, bytes: &mut [u8]) -> Opened {
        let mut opened = Opened { payload: 0, taken: 0, ended: None };
        if self.over {
            opened.ended = Some(Ended { why: "the TLS connection is over".into(), alert: None });
        }
        while opened.ended.is_none() {
            let Some(left) = bytes.get(opened.taken..) else { break };
            let end = match first(left) {
                Ok(Some(length)) if length <= left.len() => opened.taken + length,
                Ok(_) => break,
                Err(fault) => {
                    opened.ended = Some(fault.into());
                    break;
                }
            };
            let Some(room) = bytes.get_mut(opened.payload..end) else { break };
            let record = self.receive.open(room, opened.taken - opened.payload);
            opened.taken = end;
            match record.map_err(Ended::from) {
                Ok((APPLICATION_DATA, length)) if self.message.is_empty() => {
                    opened.payload += length;
                    match length {
                        0 => opened.ended = self.charge(RECORD_COST).err(),
                        _ => self.cost = self.cost.saturating_sub(1),
                    }
                }
                Ok((kind, length)) => {
                    let content = room.get(..length).unwrap_or_default();
                    opened.ended = self.charge(RECORD_COST).and_then(|()| self.control(kind, content)).err();
                }
                Err(ended) => opened.ended = Some(ended),
            }
        }
        opened
    }

    fn charge(&mut self, cost: u16) -> Result<(), Ended> {
        self.cost += cost;
        if self.cost > MAX_COST {
            Err(Ended::of(UNEXPECTED_MESSAGE, "many TLS records without payload"))
        } else {
            Ok(())
        }
    }

    /// A record that is no payload.
    fn control(&mut self, kind: u8, content: &[u8]) -> Result<(), Ended> {
        match (kind, content) {
            (ALERT, [level, alert]) => self.alerted(*level, *alert),
            (ALERT, _) => Err(Ended::of(DECODE_ERROR, "a TLS alert of no length")),
            (HANDSHAKE, []) => Err(Ended::of(UNEXPECTED_MESSAGE, "an empty TLS handshake record")),
            (HANDSHAKE, _) => self.handshake(content),
            (CHANGE_CIPHER_SPEC, _) => Err(Ended::of(UNEXPECTED_MESSAGE, "a new TLS cipher without a handshake")),
            _ => Err(Ended::of(UNEXPECTED_MESSAGE, "an unexpected TLS record")),
        }
    }

    fn alerted(&self, level: u8, alert: u8) -> Result<(), Ended> {
        match (level, alert) {
            (_, CLOSE_NOTIFY) => Err(Ended { why: "the service closed the TLS connection".into(), alert: None }),
            (WARNING, USER_CANCELED) => Ok(()),
            // RFC 8446 §6: there are no other warnings any more.
            (WARNING, _) if !self.tls13 => Ok(()),
            _ => {
                let name = rustls::AlertDescription::from(alert);
                Err(Ended { why: format!("the service broke TLS off: alert {name:?}"), alert: None })
            }
        }
    }

    /// Messages of the handshake, or pieces of them.
    fn handshake(&mut self, content: &[u8]) -> Result<(), Ended> {
        if self.message.len() + content.len() > MAX_HANDSHAKE {
            return Err(Ended::of(DECODE_ERROR, "a TLS handshake message is longer than 64 KiB"));
        }
        let mut message = std::mem::take(&mut self.message);
        message.extend_from_slice(content);
        let mut left = message.as_slice();
        while let Some(([kind, high, mid, low], more)) = left.split_first_chunk::<4>() {
            let length = u32::from_be_bytes([0, *high, *mid, *low]) as usize;
            let Some((body, behind)) = more.split_at_checked(length) else { break };
            left = behind;
            self.charge(MESSAGE_COST)?;
            match (*kind, body) {
                (HELLO_REQUEST, []) if !self.tls13 => self.owes_refusal = true,
                (NEW_SESSION_TICKET, _) if self.tls13 => self
                    .secrets
                    .handle_new_session_ticket(body)
                    .map_err(|e| Ended::of(DECODE_ERROR, &format!("TLS ticket: {e}")))?,
                // §5.1: what follows has the new key, so it must be in another record.
                (KEY_UPDATE, [request @ (0 | 1)]) if self.tls13 && behind.is_empty() => {
                    let next = self.secrets.update_rx_secret().ok();
                    self.receive = next.and_then(|next| Half::new(true, next)).ok_or_else(Ended::internal)?;
                    self.owes_update |= *request == 1;
                }
                _ => return Err(Ended::of(UNEXPECTED_MESSAGE, "an unexpected TLS handshake message")),
            }
        }
        self.message = left.to_vec();
        Ok(())
    }

    /// Seals what is in `buffer` from `at` on, which has [`FRONT`] octets of room in front of it; returns where the records begin, which
    /// end with `buffer`. `Err`: the keys are used up.
    pub fn seal(&mut self, at: usize, buffer: &mut Vec<u8>) -> Result<usize, String> {
        let length = buffer.len().saturating_sub(at);
        if self.owes_refusal || self.owes_update || !self.send.is_good() || length > MAX_PAYLOAD {
            return self.seal_more(at, buffer);
        }
        self.send.seal(APPLICATION_DATA, at, buffer).ok_or_else(|| WORN_OUT.to_owned())
    }

    /// The same behind the payload, for more than one record.
    #[cold]
    fn seal_more(&mut self, mut at: usize, buffer: &mut Vec<u8>) -> Result<usize, String> {
        let begin = buffer.len();
        if std::mem::take(&mut self.owes_refusal) {
            self.say(ALERT, &[WARNING, NO_RENEGOTIATION], buffer)?;
        }
        while at < begin {
            match (self.tls13, self.send.is_good()) {
                (true, good) if self.owes_update || !good => self.update(buffer)?,
                (false, false) => return Err(WORN_OUT.to_owned()),
                _ => {}
            }
            let part = at..begin.min(at + MAX_PAYLOAD);
            at = part.end;
            self.append(APPLICATION_DATA, buffer, |buffer| buffer.extend_from_within(part))?;
        }
        Ok(begin)
    }

    /// Ends the connection; appends the alert that tells the peer why.
    pub fn alert(&mut self, ended: &Ended, out: &mut Vec<u8>) {
        if let Some(alert) = ended.alert {
            self.over = true;
            let _ = self.say(ALERT, &[FATAL, alert], out);
        }
    }

    /// Appends the end of what we say.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if !self.over {
            let _ = self.say(ALERT, &[WARNING, CLOSE_NOTIFY], out);
        }
    }

    /// RFC 8446 §4.6.3: our next key, which the peer need not answer with one of its own.
    fn update(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.owes_update = false;
        self.say(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], out)?;
        let next = self.secrets.update_tx_secret().map_err(|e| e.to_string())?;
        self.send = Half::new(true, next).ok_or(WORN_OUT)?;
        Ok(())
    }

    /// Appends one record that is no payload.
    fn say(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.append(kind, out, |out| out.extend_from_slice(content))
    }

    /// Appends one record with what `content` appends.
    fn append(&mut self, kind: u8, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
        let end = out.len();
        out.resize(end + FRONT, 0);
        content(out);
        let begin = self.send.seal(kind, end + FRONT, out).ok_or(WORN_OUT)?;
        // A record of TLS 1.3 has no nonce in front.
        out.drain(end..begin);
        Ok(())
    }

    #[cfg(test)]
    fn wear_out(&mut self) {
        self.send.wear_out();
    }
}

const WORN_OUT: &str = "the TLS keys are used up; the service has to speak TLS 1.3 for longer calls";

impl Ended {
    fn of(alert: u8, why: &str) -> Ended {
        Ended { why: why.to_owned(), alert: Some(alert) }
    }
    fn internal() -> Ended {
        Ended::of(INTERNAL_ERROR, "no next TLS key")
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        match fault {
            Fault::NotAuthentic => Ended::of(BAD_RECORD_MAC, "a TLS record is not authentic"),
            Fault::TooLong => Ended::of(RECORD_OVERFLOW, "a TLS record is too long"),
            Fault::Malformed => Ended::of(UNEXPECTED_MESSAGE, "a record is no TLS of this connection"),
        }
    }
}

#[cfg(test)]
mod tests;
