//! A call that talks, for tests and benches of what a packet costs: answered, acknowledged, its session ready.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use voxtrunk::audio::front::FrontParams;
use voxtrunk::call::{Call, CallParams, Input, MediaPolicy, Output};
use voxtrunk::config::dialplan::{AnswerPolicy, AudioChoice, Dialplan, Fallback, Limits, NumberPattern, OnResume};
use voxtrunk::observe::pii::Pii;
use voxtrunk::realtime::{DialectKind, Endpoint, Greeting, ProviderKind, TurnDetection};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::{Codec, LocalMedia, Negotiation};
use voxtrunk::sip::user_agent::SessionId;
use voxtrunk::trunk::CallerInfo;

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
    let local = LocalMedia {
        addr: [198, 51, 100, 1].into(),
        port: 20_000,
        codecs: vec![Codec::Pcmu],
        dtmf: true,
        ptime_ms: 20,
        ..LocalMedia::default()
    };
    let params = CallParams {
        id: Arc::from("c1"),
        session: SessionId(7),
        sip_call_id: "abc@pbx.example".into(),
        plan: Arc::new(plan(front)),
        provider_name: "fake".into(),
        endpoint: Endpoint {
            kind: ProviderKind::Compatible,
            dialect: DialectKind::Ga,
            url: "wss://fake.example/v1/realtime".into(),
            model: "m".into(),
            api_version: None,
        },
        connect_timeout: Duration::from_secs(4),
        ready_timeout: Duration::from_secs(5),
        caller: Pii("+15551230009".into()),
        caller_info: CallerInfo::default(),
        trunk: None,
        dialled: "+15551230001".into(),
        source: SocketAddr::new(peer.ip(), 5060),
        negotiation: Negotiation::new(local),
        offer: Some(offer.into()),
        media: MediaPolicy {
            source: SourcePolicy::Latch,
            allowed: Vec::new(),
            reorder_wait: Duration::from_millis(40),
            append_ms: 20,
        },
        apology: None,
        seed: 99,
        unix_ms: 1_800_000_000_000,
    };
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
        file: PathBuf::from("talking.toml"),
        name: "talking".into(),
        numbers: vec![NumberPattern::Default],
        instructions: "Talk.".into(),
        greeting: Greeting::None,
        language: None,
        provider: None,
        model: None,
        voice: None,
        turn_detection: TurnDetection::default(),
        transcription: None,
        noise_reduction: None,
        temperature: None,
        speed: None,
        max_output_tokens: None,
        audio: AudioChoice::Pcm16,
        level: Default::default(),
        answer: AnswerPolicy::AtOnce,
        tools: Vec::new(),
        limits: Limits {
            max_call: Duration::from_secs(3_600),
            no_media_start: Duration::from_secs(30),
            no_media: Duration::from_secs(30),
            caller_silence: None,
            check_in: String::new(),
            goodbye: String::new(),
        },
        fallback: Fallback::Reject,
        transcript: false,
        caller_info: Vec::new(),
        front,
        on_resume: OnResume::Tell,
    }
}
