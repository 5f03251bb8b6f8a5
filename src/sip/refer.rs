//! What a REFER and its NOTIFYs carry beside addresses: Subscription-State (RFC 6665 §8.2.3) and sipfrag (RFC 3420).

use super::headers::{HeaderError, Name};
use super::lexer;
use super::message::Message;

/// Subscription-State of a NOTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// `active`, `pending`, `terminated` or another word, lower case.
    pub state: String,
    pub expires: Option<u32>,
    pub reason: Option<String>,
}

impl SubscriptionState {
    pub fn is_terminated(&self) -> bool {
        self.state == "terminated"
    }

    fn from_value(value: &[u8]) -> Result<SubscriptionState, &'static str> {
        let mut pieces = lexer::params(value);
        let Some((state, None)) = pieces.next() else { return Err("no state") };
        if !lexer::is_token(state) {
            return Err("a state that is no token");
        }
        let mut read =
            SubscriptionState { state: lexer::text(state).to_ascii_lowercase(), expires: None, reason: None };
        for (name, value) in pieces {
            if name.eq_ignore_ascii_case(b"expires") {
                read.expires = value.and_then(lexer::digits).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            } else if name.eq_ignore_ascii_case(b"reason") {
                read.reason = value.map(lexer::unquoted);
            }
        }
        Ok(read)
    }
}

impl Message {
    pub fn subscription_state(&self) -> Option<Result<SubscriptionState, HeaderError>> {
        let value = self.raw_lines(&Name::SubscriptionState).next()?;
        Some(SubscriptionState::from_value(value).map_err(|why| HeaderError::new(&Name::SubscriptionState, why)))
    }
}

/// The status of a `message/sipfrag` body: the code of its status line, 100–699.
pub fn sipfrag_status(body: &[u8]) -> Option<u16> {
    let line = body.split(|b| *b == b'\n').map(lexer::trim).find(|line| !line.is_empty())?;
    let (version, rest) = lexer::cut(line, b' ')?;
    let code = lexer::cut(rest, b' ').map_or(rest, |(code, _)| code);
    let status = lexer::digits(code).filter(|n| code.len() == 3 && (100..700).contains(n))?;
    version.get(..4).filter(|v| v.eq_ignore_ascii_case(b"SIP/"))?;
    u16::try_from(status).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XFR-02: the outcome of a transfer is read from the sipfrag status line.
    #[test]
    fn sipfrag() {
        assert_eq!(sipfrag_status(b"SIP/2.0 200 OK\r\n"), Some(200));
        assert_eq!(sipfrag_status(b"\r\nSIP/2.0 603\r\nTo: x\r\n"), Some(603));
        assert_eq!(sipfrag_status(b"SIP/2.0 180 Ringing"), Some(180));
        for wrong in
            ["", "200 OK", "SIP/2.0 20 OK", "SIP/2.0 9999 x", "SIP/2.0", "HTTP/1.1 200 OK", "BYE sip:a SIP/2.0"]
        {
            assert_eq!(sipfrag_status(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn subscription_state() {
        let read =
            SubscriptionState::from_value(b"Terminated ;reason=noresource; expires=99999999999").expect("a state");
        assert!(read.is_terminated());
        assert_eq!((read.expires, read.reason.as_deref()), (Some(u32::MAX), Some("noresource")));
        assert!(SubscriptionState::from_value(b"").is_err());
        assert!(SubscriptionState::from_value(b"a b").is_err());
    }
}
