//! The interruption, proven from captured RTP: a service of our own says when it hears the caller, and compares what the
//! truncate names with the samples that were on the wire.

use crate::caller::Caller;
use crate::world::{World, plan, provider};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

/// What the agent says: ten seconds of tone, in deltas of 100 ms, all at once.
const DELTAS: usize = 100;
/// Interrupt when this many packets of it were heard.
const HEARD_PACKETS: usize = 90;
/// The agent must be silent this soon after `speech_started` was sent.
const STOP: Duration = Duration::from_millis(60);
/// A busy machine may hold up the test itself; the truncation must be right every time, the time at least once.
const ATTEMPTS: usize = 3;

/// What the service saw.
struct Interruption {
    speech_started: Instant,
    truncate: Value,
}

fn tone(delta: usize) -> String {
    let samples = (delta * 2400..(delta + 1) * 2400).map(|n| {
        let phase = n as f64 * 440.0 * std::f64::consts::TAU / 24_000.0;
        (phase.sin() * 8000.0) as i16
    });
    let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// One GA session: greets with the tone, hears the caller when told to, and waits for the truncate.
async fn service(listener: TcpListener, interrupt: oneshot::Receiver<()>, result: mpsc::Sender<Interruption>) {
    let (stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut send, mut receive) = tokio_tungstenite::accept_async(stream).await.unwrap().split();
    let mut number = 0;
    let mut event = move |mut event: Value| {
        number += 1;
        event["event_id"] = format!("e{number}").into();
        Message::text(event.to_string())
    };
    send.send(event(json!({ "type": "session.created", "session": { "id": "s", "type": "realtime" } }))).await.unwrap();
    let mut interrupt = Some(interrupt);
    let mut started = None;
    loop {
        let message = match interrupt.as_mut().filter(|_| started.is_none()) {
            Some(wish) => tokio::select! {
                _ = wish => {
                    interrupt = None;
                    started = Some(Instant::now());
                    let heard = json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "u1" });
                    send.send(event(heard)).await.unwrap();
                    continue;
                }
                message = receive.next() => message,
            },
            None => receive.next().await,
        };
        let Some(Ok(Message::Text(text))) = message else { return };
        let asked: Value = serde_json::from_str(&text).unwrap();
        match asked["type"].as_str() {
            Some("session.update") => {
                let mut session = asked["session"].clone();
                session["id"] = "s".into();
                send.send(event(json!({ "type": "session.updated", "session": session }))).await.unwrap();
            }
            Some("response.create") => {
                let place = json!({ "response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0 });
                let item = json!({ "id": "i1", "type": "message", "role": "assistant", "content": [] });
                for begin in [
                    json!({ "type": "response.created", "response": { "id": "r1", "status": "in_progress" } }),
                    json!({ "type": "response.output_item.added", "response_id": "r1", "output_index": 0, "item": item }),
                ] {
                    send.send(event(begin)).await.unwrap();
                }
                for n in 0..DELTAS {
                    let mut delta = place.clone();
                    delta["type"] = "response.output_audio.delta".into();
                    delta["delta"] = tone(n).into();
                    send.send(event(delta)).await.unwrap();
                }
            }
            Some("conversation.item.truncate") => {
                let speech_started = started.expect("no truncate before the caller speaks");
                let _ = result.send(Interruption { speech_started, truncate: asked }).await;
            }
            _ => {}
        }
    }
}

/// One call; how long after `speech_started` the last packet with tone came.
async fn interrupted_call() -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/realtime", listener.local_addr().unwrap());
    let (wish, interrupt) = oneshot::channel();
    let (result, mut seen) = mpsc::channel(4);
    let service = tokio::spawn(service(listener, interrupt, result));
    let world =
        World::new(vec![plan("1000", "provider = \"test\"")], |settings| settings.providers = vec![provider(&url)])
            .await;
    let mut caller = Caller::udp(world.sip()).await;
    assert_eq!(caller.call("1000").await, 200);

    // The capture: packets with tone until three dozen without any have come.
    let (mut loud, mut last_loud, mut quiet, mut wish) = (0, Instant::now(), 0, Some(wish));
    let deadline = Instant::now() + Duration::from_secs(20);
    while quiet < 36 {
        let packet = caller.packet(deadline).await.expect("RTP goes on");
        if packet > 1000.0 {
            (loud, last_loud, quiet) = (loud + 1, Instant::now(), 0);
        } else if loud > 0 {
            quiet += 1;
        }
        if loud == HEARD_PACKETS
            && let Some(wish) = wish.take()
        {
            wish.send(()).unwrap();
        }
    }
    let seen = timeout_at(deadline, seen.recv()).await.expect("a truncate").expect("the service runs");
    assert_eq!(seen.truncate["item_id"], "i1");
    assert_eq!(seen.truncate["content_index"], 0);
    let truncated = seen.truncate["audio_end_ms"].as_i64().unwrap();
    let on_the_wire = loud as i64 * 20;
    assert!((truncated - on_the_wire).abs() <= 20, "truncated at {truncated} ms, {on_the_wire} ms were on the wire");
    assert!((HEARD_PACKETS..DELTAS * 5).contains(&loud), "{loud} packets");
    assert_eq!(caller.bye().await, 200);
    let record = &world.stop().await[0];
    assert_eq!(record["barge_ins"], 1, "{record}");
    assert_eq!(record["turns"][0]["interrupted_at_ms"].as_i64(), Some(truncated), "{record}");
    service.abort();
    last_loud.saturating_duration_since(seen.speech_started)
}

/// R14, G6: the last packet with speech leaves within 60 ms of `speech_started`, and the truncate names the milliseconds that
/// were really sent, ±20 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_stops_at_once_and_truncates_at_what_was_sent() {
    let mut times = Vec::new();
    for _ in 0..ATTEMPTS {
        times.push(interrupted_call().await);
        if times.last().is_some_and(|time| *time <= STOP) {
            return;
        }
    }
    panic!("the agent spoke on after speech_started: {times:?}");
}
