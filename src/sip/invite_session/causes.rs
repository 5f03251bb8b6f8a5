//! Why our BYEs and CANCELs are sent, where the owner gave no reason (RFC 3326, Q.850; DLG-18).

use crate::sip::headers::Reason;

fn q850(cause: u16, text: &str) -> Reason {
    Reason { protocol: "Q.850".to_owned(), cause: Some(cause), text: Some(text.to_owned()) }
}

pub(super) fn normal() -> Reason {
    q850(16, "Normal call clearing")
}

/// Our call was not answered in time.
pub(super) fn no_answer() -> Reason {
    q850(19, "No answer")
}

/// No ACK for our 2xx within 64*T1.
pub(super) fn no_ack() -> Reason {
    q850(102, "No ACK")
}

/// No refresh in time (RFC 4028 §10).
pub(super) fn session_expired() -> Reason {
    q850(102, "Session timer expired")
}

/// A request in the dialog was not answered (408) or could not be sent (503).
pub(super) fn lost(status: u16) -> Reason {
    match status {
        408 => q850(102, "No response"),
        _ => q850(41, "Temporary failure"),
    }
}

/// Another call took the dialog over (RFC 3891).
pub(crate) fn replaced() -> Reason {
    q850(16, "Replaced by another call")
}

/// Another branch of a forked INVITE was answered.
pub(super) fn answered_elsewhere() -> Reason {
    Reason { protocol: "SIP".to_owned(), cause: Some(200), text: Some("Call completed elsewhere".to_owned()) }
}
