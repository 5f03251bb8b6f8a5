//! An hour in a moment: drift, and nothing that grows.

use crate::peer::Voice;
use crate::service::Reply;
use crate::world::{World, ms, secs};
use std::time::Duration;
use voxtrunk::config::dialplan::AudioChoice;

/// G6: a caller's clock 200 ppm off for an hour: the session hears as much as time passes, ± 100 ms, and each of our
/// packets goes out on its deadline.
#[test]
fn an_hour_with_drift() {
    for interval_us in [19_996u64, 20_004] {
        let mut world = World::setup()
            .plan(|p| {
                p.limits.max_call = secs(7_200);
                // The clocks are the same for each format, and this one is the quickest to simulate.
                p.audio = AudioChoice::G711;
            })
            .talk();
        world.peer.keep = false;
        world.keep_notes = false;
        world.peer.interval = Duration::from_micros(interval_us);
        world.peer.voice = Voice::Tone;
        let (since, bytes, packets) = (world.now, world.service.audio_bytes, world.peer.packets);
        for minute in 1..=60u64 {
            world.run(secs(60));
            let got = ((world.service.audio_bytes - bytes) / 8) as i64;
            assert!((got - minute as i64 * 60_000).abs() <= 120, "{interval_us} µs, minute {minute}: {got} ms");
            world.service.reply(world.now, Reply::Speech(500, "Mm-hm."));
        }
        let sent = world.peer.packets - packets;
        assert_eq!(sent, (world.now - since).as_millis() as u64 / 20, "one packet each 20 ms");
        assert!(world.ended.is_none(), "{world}");
        world.keep_notes = true;
        world.caller_hangs_up();
        let cdr = &world.ends_within(ms(0)).cdr;
        assert!(cdr.talk_ms >= 3_600_000 && cdr.rtp.lost == 0, "{cdr:?}");
    }
}
