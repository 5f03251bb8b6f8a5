//! What the calls of tests and benches are made of, where they say nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use voxtrunk::call::{CallParams, MediaPolicy};
use voxtrunk::codec::Codec;
use voxtrunk::config::dialplan::Dialplan;
use voxtrunk::observe::cdr::Cdr;
use voxtrunk::realtime::{DialectKind, Endpoint, ProviderKind};
use voxtrunk::rtp::receiver::SourcePolicy;
use voxtrunk::sip::offer_answer::{LocalMedia, Negotiation};
use voxtrunk::sip::user_agent::SessionId;
use voxtrunk::trunk::CallerInfo;

/// Our end: PCMU, PCMA, telephone-events, 20 ms.
pub fn local_media(addr: IpAddr, port: u16) -> LocalMedia {
    LocalMedia {
        addr,
        port,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        prefer_local_order: false,
        dtmf: true,
        ptime_ms: 20,
        session_id: 42,
        ..LocalMedia::default()
    }
}

/// A call by this plan that is offered nothing yet, from 192.0.2.1; the record is begun as signalling does it.
pub fn call_params(session: SessionId, plan: impl Into<Arc<Dialplan>>, local: LocalMedia) -> CallParams {
    let plan = plan.into();
    let endpoint = Endpoint {
        kind: ProviderKind::Compatible,
        dialect: DialectKind::Ga,
        url: "wss://fake.example/v1/realtime".into(),
        model: "m".into(),
        api_version: None,
    };
    let source = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 5060));
    CallParams {
        record: Cdr {
            call: "c1".into(),
            sip_call_id: "abc@pbx.example".into(),
            source: source.to_string(),
            caller: "+15551230009".into(),
            dialled: "+15551230001".into(),
            dialplan: Some(plan.name.clone()),
            provider: Some("fake".into()),
            model: Some(endpoint.model.clone()),
            started_unix_ms: 1_800_000_000_000,
            ..Cdr::default()
        },
        session,
        plan,
        endpoint,
        connect_timeout: Duration::from_secs(4),
        ready_timeout: Duration::from_secs(5),
        caller_info: CallerInfo::default(),
        trunk: None,
        source,
        negotiation: Negotiation::new(local),
        offer: None,
        media: MediaPolicy {
            source: SourcePolicy::Strict,
            allowed: Vec::new(),
            reorder_wait: Duration::from_millis(40),
            append_ms: 20,
        },
        apology: None,
        seed: 99,
    }
}
