//! A dialog as a plain record: what a later process needs to hang up (RFC 3261 §12, §15.1.1).
//!
//! In: a [`Dialog`], or a record that somebody kept. Out: the other. A record is not trusted: one with anything that could not
//! stand in a header of ours makes no dialog.

use super::{Dialog, Hop};
use crate::sip::headers::NameAddr;
use crate::sip::uri::Uri;
use crate::sip::{Flow, Transport, TrunkId};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Our requests between two records take less than this (see [`Dialog::stamp`]); gaps are allowed (§12.2.1.1).
const CSEQ_GAP: u32 = 1_000;
/// A new record after this many requests of ours.
const CSEQ_STEP: u32 = 256;
/// §8.1.1.5.
const CSEQ_END: u32 = 1 << 31;

/// An established dialog. It has caller data: whoever keeps it keeps it private.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogRecord {
    pub call_id: String,
    pub local_tag: String,
    /// Empty for an RFC 2543 peer without tags.
    pub remote_tag: String,
    /// From and To of our requests, without tag.
    pub local: String,
    pub remote: String,
    /// CSeq of our last request.
    pub local_cseq: u32,
    pub remote_target: String,
    /// Route values, first hop first.
    pub routes: Vec<String>,
    pub transport: Transport,
    /// The flow's addresses, ours and the peer's.
    pub local_addr: SocketAddr,
    pub remote_addr: SocketAddr,
    /// Where the INVITE (or the 2xx to ours) came from.
    pub set_up_by: IpAddr,
    /// The remote target cannot be reached as written.
    pub behind_nat: bool,
}

impl Dialog {
    pub fn record(&self) -> DialogRecord {
        DialogRecord {
            call_id: self.call_id.clone(),
            local_tag: self.local_tag.clone(),
            remote_tag: self.remote_tag.clone(),
            local: self.local.clone(),
            remote: self.remote.clone(),
            local_cseq: self.local_cseq,
            remote_target: self.remote_target.as_str().to_owned(),
            routes: self.routes.iter().map(|hop| hop.text.clone()).collect(),
            transport: self.flow.transport,
            local_addr: self.flow.local,
            remote_addr: self.flow.remote,
            set_up_by: self.set_up_by,
            behind_nat: self.behind_nat,
        }
    }

    /// Differs when a new record is due.
    pub fn stamp(&self) -> (u32, u32) {
        (self.changes, self.local_cseq / CSEQ_STEP)
    }

    /// The dialog of a record, with our CSeq beyond whatever was sent after it. A stream is one that is lost: it is dialled anew.
    pub fn resumed(trunk: TrunkId, record: &DialogRecord) -> Option<Dialog> {
        let readable = |address: &String| is_line(address) && NameAddr::parse(address).is_ok();
        let words = is_word(&record.call_id) && is_tag(&record.local_tag);
        let tagged = record.remote_tag.is_empty() || is_tag(&record.remote_tag);
        let addresses = readable(&record.local) && readable(&record.remote) && is_line(&record.remote_target);
        let local_cseq = record.local_cseq.checked_add(CSEQ_GAP).filter(|cseq| *cseq < CSEQ_END - CSEQ_GAP);
        if !(words && tagged && addresses) {
            return None;
        }
        let hop = |text: &String| {
            let address = NameAddr::parse(text).ok().filter(|_| is_line(text))?;
            Some(Hop { text: text.clone(), uri: address.uri })
        };
        let flow = Flow { transport: record.transport, local: record.local_addr, remote: record.remote_addr, conn: 0 };
        Some(Dialog {
            trunk,
            call_id: record.call_id.clone(),
            local_tag: record.local_tag.clone(),
            remote_tag: record.remote_tag.clone(),
            local: record.local.clone(),
            remote: record.remote.clone(),
            local_cseq: local_cseq?,
            remote_cseq: None,
            remote_target: Uri::parse(&record.remote_target).ok()?,
            routes: record.routes.iter().map(hop).collect::<Option<_>>()?,
            flow,
            set_up_by: record.set_up_by,
            behind_nat: record.behind_nat,
            flow_lost: record.transport.is_reliable(),
            owns_call_id: false,
            changes: 0,
        })
    }
}

/// Nothing that would end a header line.
fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

fn is_word(text: &str) -> bool {
    is_line(text) && !text.contains(char::is_whitespace)
}

fn is_tag(text: &str) -> bool {
    is_word(text) && !text.contains([';', ',', '<', '>', '"'])
}
