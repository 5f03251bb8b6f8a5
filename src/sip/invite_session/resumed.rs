//! What another process needs to end this session's dialog, and such a dialog of an earlier process, taken up to be hung up.
//!
//! In: a [`DialogRecord`]. Out: a session in `Established`, of which nothing but its dialog is known: no SDP, no session timer.

use super::{Phase, Session};
use crate::sip::TrunkId;
use crate::sip::dialog::{Dialog, DialogRecord};
use crate::sip::user_agent::core::Core;
use crate::sip::user_agent::{SessionEnd, SessionId, UaEvent};

impl Session {
    /// `None`: the record cannot be used (481) or there is no room (503); the end was told.
    pub fn resumed(core: &mut Core, id: SessionId, trunk: TrunkId, record: &DialogRecord) -> Option<Session> {
        let dialog = Dialog::resumed(trunk, record);
        let status = if dialog.is_some() { 503 } else { 481 };
        let Some(dialog) = dialog.filter(|_| core.live < core.config.max_sessions) else {
            core.event(UaEvent::Ended { session: id, end: SessionEnd::Failed { status, reason: Vec::new() } });
            return None;
        };
        core.live += 1;
        let (call_id, tag, stamp) = (dialog.call_id.clone(), dialog.local_tag.clone(), dialog.stamp());
        let mut session = Session::new(id, trunk, call_id, tag, Phase::Established, Some(dialog));
        session.recorded = Some(stamp);
        Some(session)
    }

    /// The dialog as it stands for the peer: from the 2xx to the end.
    pub fn record(&self) -> Option<DialogRecord> {
        self.standing().map(Dialog::record)
    }

    /// Whether [`Session::record`] is new or another one since the last time this was asked.
    pub fn record_changed(&mut self) -> bool {
        let stamp = self.standing().map(Dialog::stamp);
        stamp.is_some() && std::mem::replace(&mut self.recorded, stamp) != stamp
    }

    fn standing(&self) -> Option<&Dialog> {
        let stands = matches!(self.phase, Phase::Moratorium { .. } | Phase::Established);
        self.dialog.as_ref().filter(|_| stands)
    }
}
