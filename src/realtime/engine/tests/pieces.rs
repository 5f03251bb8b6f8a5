//! The short way of a piece of audio ([`Session::take_audio`]) tells what the long way tells.

use super::*;
use proptest::prelude::*;

/// One event of a service that minds no rules.
fn event() -> impl Strategy<Value = Value> {
    let response = prop::sample::select(vec!["r1", "r2", ""]);
    let item = prop::sample::select(vec!["i1", "i2", ""]);
    let delta = prop::sample::select(vec!["VVVV", "VQ==", "VVU=", "####", "", "VV VV"]);
    let piece = (response.clone(), item.clone(), 0u32..2, delta).prop_map(|(response, item, content_index, delta)| {
        json!({"type": "response.output_audio.delta", "response_id": response, "item_id": item, "content_index": content_index, "delta": delta})
    });
    let other = (response, item, 0u32..7).prop_map(|(response, item, kind)| match kind {
        0 => json!({"type": "response.created", "response": {"id": response}}),
        1 => json!({"type": "response.done", "response": {"id": response, "status": "completed"}}),
        2 => json!({"type": "response.output_audio.done", "response_id": response, "item_id": item}),
        3 => json!({"type": "input_audio_buffer.speech_started", "item_id": item}),
        4 => json!({"type": "input_audio_buffer.speech_stopped", "item_id": item}),
        5 => json!({"type": "response.output_audio_transcript.done", "response_id": response, "item_id": item, "transcript": "Hi"}),
        _ => json!({"type": "response.output_audio_transcript.delta", "response_id": response, "item_id": item, "delta": "H"}),
    });
    prop_oneof![3 => piece, 1 => other]
}

/// What may happen between two of them.
#[derive(Clone, Copy, Debug)]
enum Wish {
    None,
    Say,
    Interrupt(u64),
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![6 => Just(Wish::None), 1 => Just(Wish::Say), 1 => (1u64..4).prop_map(Wish::Interrupt)]
}

proptest! {
    #[test]
    fn both_ways_tell_the_same(pcm: bool, steps in prop::collection::vec((event(), wish()), 0..60)) {
        let mut benches = [(); 2].map(|()| {
            let format = if pcm { AudioFormat::Pcm24k } else { AudioFormat::Pcmu };
            let mut bench = Bench::connected(AgentSpec { format, ..spec() });
            bench.server(json!({"type": "session.created", "session": {"id": "s"}}));
            bench.server(json!({"type": "session.updated", "session": {"id": "s"}}));
            bench
        });
        let [short, long] = &mut benches;
        long.now = short.now;
        for (event, wish) in steps {
            short.server(event.clone());
            long.session.handle_text(long.now, &event.to_string());
            long.drain();
            for bench in [&mut *short, &mut *long] {
                match wish {
                    Wish::None => {}
                    Wish::Say => {
                        bench.intent(Intent::Say("Hello".to_owned()));
                    }
                    Wish::Interrupt(segment) => {
                        bench.intent(Intent::Interrupt { segment: SegmentId(segment), heard_ms: 0 });
                    }
                }
                bench.now += Duration::from_millis(700);
                bench.session.handle_timeout(bench.now);
                bench.drain();
            }
            // An empty piece is none.
            short.events.retain(|event| !matches!(event, AgentEvent::Audio { audio, .. } if audio.is_empty()));
            prop_assert_eq!(&short.events, &long.events);
            prop_assert_eq!(&short.sent, &long.sent);
            prop_assert_eq!(short.deadline, long.deadline);
        }
    }
}
