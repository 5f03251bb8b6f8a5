//! A call that talks, for tests and benches of what a packet costs: answered, acknowledged, its session ready.

#[path = "../support/call_params.rs"]
pub mod params;

use params::{call_params, local_media};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use voxtrunk::audio::front::FrontParams;
use voxtrunk::call::{Call, CallParams, Input, Output};
use voxtrunk::config::dialplan::{AnswerPolicy, Dialplan, Limits, NumberPattern};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::{Codec, LocalMedia};
use voxtrunk::sip::user_agent::SessionId;

/// What the service says until it speaks.
pub const SESSION: [&str; 4] = [
    r#"{"type":"session.created","event_id":"e","session":{"id":"s","type":"realtime"}}"#,
    r#"{"type":"session.updated","event_id":"e","session":{"id":"s","type":"realtime","audio":{"input":{"format":{"type":"audio/pcm","rate":24000}},"output":{"format":{"type":"audio/pcm","rate":24000}}}}}"#,
    r#"{"type":"response.created","event_id":"e","response":{"id":"r1","object":"realtime.response","status":"in_progress","output":[]}}"#,
    r#"{"type":"response.output_item.added","event_id":"e","response_id":"r1","output_index":0,"item":{"id":"i1","type":"message","role":"assistant"}}"#,
];

/// 20 ms of PCM16 as the service sends them.
pub fn delta(audio: &[u8]) -> String {
    let base64 = base64_simd::STANDARD.encode_to_string(audio);
    format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_1","response_id":"r1","item_id":"i1","output_index":0,"content_index":0,"delta":"{base64}"}}"#
    )
}

pub fn call(now: Instant, front: FrontParams) -> Call {
    let peer = super::peer();
    let offer = format!(
        "v=0\r\no=- 77 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        peer.ip(),
        peer.port()
    );
    let local = LocalMedia { codecs: vec![Codec::Pcmu], ..local_media([198, 51, 100, 1].into(), 20_000) };
    let mut params = call_params(SessionId(7), plan(front), local);
    params.media.source = SourcePolicy::Latch;
    let source = SocketAddr::new(peer.ip(), 5060);
    let params = CallParams { source, offer: Some(offer.into()), ..params };
    let mut call = Call::new(now, params);
    drain(&mut call, now);
    call.handle(now, Input::RealtimeOpen);
    drain(&mut call, now);
    call
}

fn drain(call: &mut Call, now: Instant) {
    while !matches!(call.poll_output(now), Output::Timeout(_)) {}
}

fn plan(front: FrontParams) -> Dialplan {
    Dialplan {
        numbers: vec![NumberPattern::Default],
        answer: AnswerPolicy::AtOnce,
        limits: Limits {
            max_call: Duration::from_secs(3_600),
            no_media: Duration::from_secs(30),
            caller_silence: None,
            ..Limits::default()
        },
        front,
        ..Dialplan::new("talking", "Talk.")
    }
}
