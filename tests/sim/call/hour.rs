//! An hour with everything that happens to a call's media, in a moment: drift, bursts of loss, other sources, re-INVITEs. Nothing grows.

use crate::peer::Voice;
use crate::service::Reply;
use crate::world::{SESSION, World, ms, offer, peer_addr, secs};
use bytes::Bytes;
use std::time::Duration;
use voxtrunk::call::Input;
use voxtrunk::codec::Codec;
use voxtrunk::config::dialplan::AudioChoice;
use voxtrunk::sip::user_agent::UaEvent;

/// Minutes at which the caller's source changes.
const OTHER_SOURCES: [u64; 3] = [10, 25, 45];
const ANOTHER_CODEC: u64 = 15;
const ANOTHER_PORT: u64 = 35;

fn reinvite(world: &mut World, offer: Bytes) {
    world.input(Input::Sip(UaEvent::Reinvite { session: SESSION, offer: Some(offer) }));
}

/// The agent speaks, and the caller cuts in after `after`: how soon it began, what the service was told was heard, and what was sent.
fn cut_in(world: &mut World, after: Duration) -> (Duration, u64, u64) {
    world.peer.keep = true;
    let asked = world.now;
    world.service.reply(world.now, Reply::Speech(4_000, "one two three four five six seven eight nine ten"));
    world.until("the agent speaks", secs(1), |w| w.peer.first_loud_since(asked).is_some());
    let began = world.peer.first_loud_since(asked).expect("it speaks") - asked;
    world.run(after).caller_begins().run(secs(1));
    let sent = u64::from(world.peer.speech_ms_since(asked));
    let told = world.service.sent("conversation.item.truncate").last().expect("a truncation")["audio_end_ms"].as_u64();
    world.caller_ends("I see.").run(secs(1));
    world.peer.keep = false;
    (began, told.expect("a number"), sent)
}

/// RTP-05, RTP-06, G6: an hour with a caller's clock 200 ppm off, bursts of loss, three other sources and two re-INVITEs, one to another
/// codec, one to another port. What we send is one stream on its 20 ms clock, its numbers exact; what the session hears is as long as the
/// time that passed; the agent begins as soon in the last minute as in the first; what the service is told was heard is what was sent.
#[test]
fn an_hour_with_everything() {
    let mut world = World::setup()
        .plan(|p| {
            p.limits.max_call = secs(7_200);
            p.audio = AudioChoice::G711;
        })
        .talk();
    world.peer.keep = false;
    world.keep_notes = false;
    world.peer.interval = Duration::from_micros(19_996);
    world.peer.voice = Voice::Silent;
    world.run(secs(1));
    let (since, bytes, packets) = (world.now, world.service.audio_bytes, world.peer.packets);
    world.peer.irregular.clear();
    let (mut lost, mut first_began) = (0u64, None);
    for minute in 1..=60u64 {
        if OTHER_SOURCES.contains(&minute) {
            world.peer.another_source(0x1000_0000 + minute as u32 * 7_919);
        }
        if minute == ANOTHER_CODEC {
            reinvite(&mut world, offer("8 0 101", 2, "sendrecv"));
            world.peer.codec = Codec::Pcma;
        }
        if minute == ANOTHER_PORT {
            let moved = String::from_utf8(offer("8 0 101", 3, "sendrecv").to_vec()).expect("text");
            let mut addr = peer_addr();
            addr.set_port(4_002);
            world.moved = Some(addr);
            reinvite(&mut world, moved.replace("m=audio 4000", "m=audio 4002").into());
        }
        if minute % 4 == 0 {
            world.run(secs(7));
            let burst = 5 + minute as u32 / 4;
            world.peer.lose_next = burst;
            lost += u64::from(burst);
        }
        world.run(secs(5));
        let (began, told, sent) = cut_in(&mut world, ms(500 + 37 * minute));
        assert!(told.abs_diff(sent) <= 20, "minute {minute}: told {told} ms, sent {sent} ms");
        let first_began = *first_began.get_or_insert(began);
        assert!(began <= first_began + ms(20), "minute {minute}: began after {began:?}, at first {first_began:?}");
        let rest = since + secs(60 * minute) - world.now;
        world.run(rest);
        let heard = ((world.service.audio_bytes - bytes) / 8) as i64;
        assert!((heard - minute as i64 * 60_000).abs() <= 130, "minute {minute}: {heard} ms heard");
        assert!(world.peer.irregular.is_empty(), "minute {minute}: {:?}", world.peer.irregular);
    }
    let sent = world.peer.packets - packets;
    assert_eq!(sent, (world.now - since).as_millis() as u64 / 20, "one packet each 20 ms");
    assert!(world.ended.is_none(), "{world}");
    world.keep_notes = true;
    world.caller_hangs_up();
    let all = world.peer.packets;
    let cdr = &world.ends_within(ms(0)).cdr;
    assert_eq!(cdr.rtp_sent, all);
    assert_eq!(cdr.barge_ins, 60);
    assert!(cdr.talk_ms >= 3_600_000, "{cdr:?}");
    // A change of source costs the two packets that prove it, no more.
    assert!(cdr.rtp.lost.abs_diff(lost) <= 6, "{lost} lost: {:?}", cdr.rtp);
    assert!(cdr.rtp.concealed_ms >= lost * 10 && cdr.rtp.concealed_ms <= lost * 20 + 200, "{lost} lost: {:?}", cdr.rtp);
}
