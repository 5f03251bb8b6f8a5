//! Real sockets: handshake, refusals, a spoken turn at pace, cuts, leaks.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message};
use voxtrunk::realtime_sim::dialect::Dialect;
use voxtrunk::realtime_sim::{Sim, SimConfig, SimMode};

use crate::schema::assert_server_event;
use crate::world::{Format, agent_line, base64, caller_line, receptionist};

type Socket = WebSocketStream<TcpStream>;
const DEADLINE: Duration = Duration::from_secs(20);

async fn sim(mode: SimMode) -> Sim {
    Sim::start(SimConfig { listen: "127.0.0.1:0".parse().unwrap(), mode }).await.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test is the client")]
async fn dial(addr: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(addr).await
}

async fn connect(sim: &Sim, path: &str, headers: &[(&str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{path}", sim.addr()).into_client_request().unwrap();
    for (name, value) in headers {
        let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = dial(sim.addr()).await.unwrap();
    let config = WebSocketConfig::default().max_message_size(Some(64 << 20)).max_frame_size(Some(64 << 20));
    let shake = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    tokio::time::timeout(DEADLINE, shake).await.unwrap().map(|(socket, _)| socket)
}

async fn next(socket: &mut Socket, dialect: Dialect) -> Value {
    loop {
        match tokio::time::timeout(DEADLINE, socket.next()).await.expect("an event in time") {
            Some(Ok(Message::Text(text))) => {
                let event = serde_json::from_str(&text).unwrap();
                assert_server_event(dialect, &event);
                return event;
            }
            Some(Ok(_)) => {}
            end => panic!("the socket ended: {end:?}"),
        }
    }
}

async fn until(socket: &mut Socket, dialect: Dialect, kind: &str) -> Value {
    loop {
        let event = next(socket, dialect).await;
        assert_ne!(event["type"], "error", "{event}");
        if event["type"] == kind {
            return event;
        }
    }
}

async fn send(socket: &mut Socket, event: Value) {
    socket.send(Message::Text(event.to_string().into())).await.unwrap();
}

/// Waits until the count of sessions is `wanted`.
async fn settle(sim: &Sim, wanted: usize) {
    let wait = async {
        while sim.sessions() != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{} sessions, not {wanted}", sim.sessions()));
}

/// Streams samples at pace, as a phone leg does.
async fn speak(socket: &mut Socket, format: Format, samples: &[i16]) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for frame in samples.chunks(160) {
        tick.tick().await;
        send(socket, json!({"type": "input_audio_buffer.append", "audio": base64(&format.encode(frame))})).await;
    }
}

#[tokio::test]
async fn refusals_are_http_answers() {
    let mut scenario = receptionist();
    scenario.server.key = Some("right".into());
    scenario.server.models = vec!["m".into()];
    let sim = Sim::start_with("127.0.0.1:0".parse().unwrap(), scenario, false).await.unwrap();
    let status = |result: Result<Socket, Error>| match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    };
    let bearer = [("authorization", "Bearer right")];
    assert_eq!(status(connect(&sim, "/v1/realtime?model=m", &[("authorization", "Bearer wrong")]).await), 401);
    assert_eq!(status(connect(&sim, "/v1/realtime?model=other", &bearer).await), 404);
    assert_eq!(status(connect(&sim, "/v2/realtime", &bearer).await), 404);
    assert_eq!(status(connect(&sim, "/openai/v1/realtime?model=m&api-version=2025-04-01-preview", &bearer).await), 401);
    let mut good = connect(&sim, "/v1/realtime?model=m", &bearer).await.unwrap();
    assert_eq!(next(&mut good, Dialect::Ga).await["type"], "session.created");
    assert_eq!(sim.sessions(), 1);

    // Plain HTTP gets plain HTTP.
    let mut plain = dial(sim.addr()).await.unwrap();
    plain.write_all(b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, plain.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    // An endless head is cut off.
    let mut endless = dial(sim.addr()).await.unwrap();
    endless.write_all(b"GET /v1/realtime HTTP/1.1\r\n").await.unwrap();
    let _ = endless.write_all(&b"x: y\r\n".repeat(4_000)).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, endless.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

/// The first connections are refused as the scenario says, the next is served.
#[tokio::test]
async fn a_scenario_refuses_the_first_connections() {
    let mut scenario = receptionist();
    scenario.server.refuse_http = vec![503, 429];
    let sim = Sim::start_with("127.0.0.1:0".parse().unwrap(), scenario, false).await.unwrap();
    for expected in [503, 429] {
        match connect(&sim, "/v1/realtime", &[]).await {
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), expected),
            other => panic!("{other:?}"),
        }
    }
    let mut socket = connect(&sim, "/v1/realtime", &[]).await.unwrap();
    assert_eq!(next(&mut socket, Dialect::Ga).await["type"], "session.created");
}

/// A spoken turn on a real socket: greeting, then the caller's line at pace, then the answer; both dialects.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoken_turn_at_pace() {
    let sim = sim(SimMode::Scripted { scenario: None }).await;
    let ga = async {
        let mut socket = connect(&sim, "/v1/realtime?model=gpt-realtime", &[]).await.unwrap();
        let update = json!({"type": "realtime", "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad", "silence_duration_ms": 400}},
            "output": {"format": {"type": "audio/pcmu"}}}});
        spoken_turn(&mut socket, Dialect::Ga, update).await;
    };
    let preview = async {
        let mut socket = connect(&sim, "/v1/realtime?model=x", &[("openai-beta", "realtime=v1")]).await.unwrap();
        let update = json!({"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw",
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 400}});
        spoken_turn(&mut socket, Dialect::Preview, update).await;
    };
    tokio::join!(ga, preview);
    settle(&sim, 0).await;
}

async fn spoken_turn(socket: &mut Socket, dialect: Dialect, update: Value) {
    assert_eq!(next(socket, dialect).await["type"], "session.created");
    send(socket, json!({"type": "session.update", "session": update})).await;
    until(socket, dialect, "session.updated").await;
    send(socket, json!({"type": "response.create"})).await;
    let done = until(socket, dialect, "response.done").await;
    assert_eq!(done["response"]["output"][0]["content"][0]["transcript"], agent_line("greeting").text);
    let mut line = vec![0i16; 2_400];
    line.extend_from_slice(&caller_line("opening_hours").samples);
    line.resize(line.len() + 5_600, 0);
    speak(socket, Format::Mu, &line).await;
    until(socket, dialect, "input_audio_buffer.speech_started").await;
    let done = until(socket, dialect, "response.done").await;
    let said = done["response"]["output"][0]["content"][0]["transcript"].as_str().unwrap();
    assert!(said.starts_with("We are open"), "{said}");
}

/// A cut is a loss without a close frame; the server goes on, or pretends not to be there.
#[tokio::test]
async fn cut_all_drops_sockets_and_goes_on() {
    let sim = sim(SimMode::Echo).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = connect(&sim, "/v1/realtime", &[]).await.unwrap();
        next(&mut socket, Dialect::Ga).await;
        sockets.push(socket);
    }
    assert_eq!(sim.sessions(), 3);
    sim.cut_all();
    for socket in &mut sockets {
        let end = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
        assert!(matches!(end, None | Some(Err(_))), "a close frame came: {end:?}");
    }
    settle(&sim, 0).await;
    sim.set_listening(false);
    assert!(connect(&sim, "/v1/realtime", &[]).await.is_err());
    sim.set_listening(true);
    let mut socket = connect(&sim, "/v1/realtime", &[]).await.unwrap();
    next(&mut socket, Dialect::Ga).await;
    let addr = sim.addr();
    sim.stop().await;
    assert!(dial(addr).await.is_err(), "still listening");
}

#[tokio::test]
async fn pings_are_answered_and_binary_is_an_error() {
    let sim = sim(SimMode::Scripted { scenario: None }).await;
    let mut socket = connect(&sim, "/v1/realtime", &[]).await.unwrap();
    next(&mut socket, Dialect::Ga).await;
    socket.send(Message::Ping(b"hello".as_slice().into())).await.unwrap();
    let pong = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"hello".as_slice().into()));
    socket.send(Message::Binary(vec![1, 2, 3].into())).await.unwrap();
    assert_eq!(next(&mut socket, Dialect::Ga).await["error"]["code"], "invalid_event");
    // A big but allowed message is taken; the session lives on.
    let audio = base64(&vec![0xff; 1 << 20]);
    send(&mut socket, json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": null}}}})).await;
    until(&mut socket, Dialect::Ga, "session.updated").await;
    send(&mut socket, json!({"type": "input_audio_buffer.append", "audio": audio})).await;
    send(&mut socket, json!({"type": "input_audio_buffer.commit"})).await;
    until(&mut socket, Dialect::Ga, "input_audio_buffer.committed").await;
    socket.close(None).await.unwrap();
    settle(&sim, 0).await;
}

#[tokio::test]
async fn a_taken_port_and_a_bad_scenario_are_named() {
    let first = sim(SimMode::Echo).await;
    let error = Sim::start(SimConfig { listen: first.addr(), mode: SimMode::Echo }).await.err().unwrap();
    assert!(error.contains(&first.addr().to_string()), "{error}");
    let missing = SimMode::Scripted { scenario: Some("no/such/file.toml".into()) };
    let error = Sim::start(SimConfig { listen: "127.0.0.1:0".parse().unwrap(), mode: missing }).await.err().unwrap();
    assert!(error.starts_with("no/such/file.toml: "), "{error}");
}
