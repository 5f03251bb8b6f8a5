//! One call detail record per INVITE, refused ones included, as one JSON line.

use crate::audio::front::echo::EchoPath;
use crate::realtime::Usage;
use crate::rtp::quality::Quality;
use crate::rtp::receiver::ReceiverStats;
use serde::Serialize;

/// Who ended the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Caller,
    Agent,
    /// Whom the caller was connected with here.
    Target,
    Operator,
    Fault,
}

/// The record. Times are Unix milliseconds; durations are milliseconds from a monotonic clock.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cdr {
    /// Our id of the call, in every log line too.
    pub call: String,
    pub sip_call_id: String,
    /// Name of the trunk it came by.
    pub trunk: Option<String>,
    pub source: String,
    pub caller: String,
    /// STIR attestation as the trunk vouches for it (`A`, `B`, `C`), or its verstat word.
    pub attestation: Option<String>,
    pub dialled: String,
    pub dialplan: Option<String>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub realtime_session: Option<String>,
    pub started_unix_ms: u64,
    pub answered_unix_ms: Option<u64>,
    pub ended_unix_ms: u64,
    /// INVITE to 200, and 200 to end.
    pub setup_ms: Option<u64>,
    pub talk_ms: u64,
    pub ended_by: Option<EndedBy>,
    /// One cause label, e.g. `caller_bye`, `agent_hangup`, `transferred`, `no_number`, `realtime_connect`.
    pub cause: String,
    /// Final SIP status sent or received for the INVITE.
    pub sip_status: u16,
    pub codec: Option<String>,
    /// What protected the media, e.g. `AES_CM_128_HMAC_SHA1_80`; none: plain RTP.
    pub srtp: Option<&'static str>,
    pub rtp_sent: u64,
    pub rtp: RtpRecord,
    /// The echo of the agent's voice that the line gave back, where it did.
    pub echo: Option<EchoRecord>,
    /// How good the line was: loss, round trip, MOS, in both directions. Of the last stream, where a call had more than one.
    pub quality: Quality,
    /// Second legs that were answered (attended transfer, bridge), in the order in which they ended. One that became the caller's own
    /// stream (inbound REFER) is counted there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegRecord>,
    /// Why one side did not hear the other, if that happened: the last verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_verdict: Option<MediaVerdict>,
    pub turns: Vec<TurnRecord>,
    pub barge_ins: u32,
    pub tools: Vec<ToolRecord>,
    /// Number of digits received; never the digits.
    pub dtmf_digits: u32,
    pub tokens: TokenRecord,
    /// How long caller and target were connected here, after the agent left.
    pub bridged_ms: Option<u64>,
    /// How often the caller's side became another dialog (INVITE with Replaces, inbound REFER).
    pub moves: u32,
    /// Reason header of the peer's BYE or CANCEL, like `Q.850;cause=16` or `SIP;cause=200` (completed elsewhere).
    pub peer_reason: Option<String>,
    /// Further INVITEs that were refused in the same second, on the same trunk, for the same cause, and share this record.
    #[serde(skip_serializing_if = "is_zero")]
    pub folded: u64,
}

impl Cdr {
    /// Who ended the call, and the label of why.
    pub fn ended(&mut self, by: EndedBy, cause: &str) {
        self.ended_by = Some(by);
        cause.clone_into(&mut self.cause);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What the echo guard learned of the line.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EchoRecord {
    /// From sending a sample to its echo.
    pub delay_ms: u32,
    /// Echo return loss, whole dB.
    pub loss_db: u32,
}

impl From<EchoPath> for EchoRecord {
    fn from(path: EchoPath) -> EchoRecord {
        EchoRecord { delay_ms: path.delay_ms, loss_db: path.loss_db.max(0.0).round() as u32 }
    }
}

/// Receive side.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RtpRecord {
    pub received: u64,
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
    pub reordered: u64,
    pub refused_source: u64,
    /// How often the stream came from another address than before, or than its SDP says.
    pub source_changes: u32,
    /// SRTP and SRTCP packets with a wrong tag, and those that came again. What is too short to have one (the plain keep-alives that
    /// some phones open a NAT with) is in neither.
    pub srtp_failed: u64,
    pub srtp_replayed: u64,
    pub concealed_ms: u64,
    pub jitter_ms: f32,
}

impl RtpRecord {
    /// The counters of this stream and of those before it; the jitter of this one.
    #[must_use]
    pub fn after(self, before: RtpRecord) -> RtpRecord {
        RtpRecord {
            received: self.received + before.received,
            lost: self.lost + before.lost,
            late: self.late + before.late,
            duplicate: self.duplicate + before.duplicate,
            reordered: self.reordered + before.reordered,
            refused_source: self.refused_source + before.refused_source,
            source_changes: self.source_changes + before.source_changes,
            srtp_failed: self.srtp_failed + before.srtp_failed,
            srtp_replayed: self.srtp_replayed + before.srtp_replayed,
            concealed_ms: self.concealed_ms + before.concealed_ms,
            jitter_ms: self.jitter_ms,
        }
    }
}

/// The stream of one second leg: the figures that the call's own has, by the same names.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LegRecord {
    pub codec: &'static str,
    pub srtp: Option<&'static str>,
    /// When it answered, after the call's own answer, and for how long it was there.
    pub answered_ms: u64,
    pub talk_ms: u64,
    pub rtp_sent: u64,
    pub rtp: RtpRecord,
    /// `mos` is how well we heard the target, `remote_mos` how well the target heard what we sent.
    pub quality: Quality,
}

/// Why audio goes one way only, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaVerdict {
    /// `source_refused`, `no_packet`, `only_rtcp`, `srtp_keys`, `payload_type`, `only_keys`, `webrtc` or `unheard` (the peer does not get ours).
    pub cause: &'static str,
    /// What was seen, and what to do.
    pub why: String,
    /// When, after the answer.
    pub at_ms: u64,
    /// Audio came after all, this long after the answer.
    pub audio_after_ms: Option<u64>,
}

impl From<ReceiverStats> for RtpRecord {
    fn from(s: ReceiverStats) -> Self {
        RtpRecord {
            received: s.packets,
            lost: s.lost,
            late: s.late,
            duplicate: s.duplicate,
            reordered: s.reordered,
            refused_source: s.refused_source,
            source_changes: s.source_changes,
            srtp_failed: 0,
            srtp_replayed: 0,
            concealed_ms: 0,
            jitter_ms: s.jitter_ms,
        }
    }
}

/// Latencies of one agent turn, ms: from the caller's end of speech (`speech_stopped`). A turn that nobody asked for by voice and
/// nobody cut (greeting, check-in) has nothing to tell and no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TurnRecord {
    /// To the first audio delta.
    pub first_delta_ms: Option<u64>,
    /// To the first RTP packet with speech.
    pub first_rtp_ms: Option<u64>,
    /// The turn was cut by the caller after this much was heard.
    pub interrupted_at_ms: Option<u32>,
    /// `speech_started` received to the end of the audio in the last packet with speech: 0 when that was over by then.
    pub barge_in_stop_ms: Option<u64>,
}

/// One tool call.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ToolRecord {
    pub name: String,
    pub ok: bool,
    pub ms: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TokenRecord {
    pub input_text: u64,
    pub input_audio: u64,
    pub cached: u64,
    pub output_text: u64,
    pub output_audio: u64,
    pub total: u64,
    pub responses: u32,
}

impl From<Usage> for TokenRecord {
    fn from(u: Usage) -> Self {
        TokenRecord {
            input_text: u.input_text,
            input_audio: u.input_audio,
            cached: u.cached,
            output_text: u.output_text,
            output_audio: u.output_audio,
            total: u.total,
            responses: u.responses,
        }
    }
}
