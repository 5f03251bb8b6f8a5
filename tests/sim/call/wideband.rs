//! G.722: wideband both ways, its clock of 8000 on the wire, and a change to and from it in mid-call.

use crate::peer::Voice;
use crate::world::{Setup, World, ms, offer, secs};
use std::f64::consts::TAU;
use voxtrunk::codec::Codec;
use voxtrunk::config::dialplan::AudioChoice;

fn wideband() -> Setup {
    World::setup().with(|s| {
        s.offer = Some(offer("9 0 101", 1, "sendrecv"));
        s.codec = Codec::G722;
        s.codecs = vec![Codec::Pcmu, Codec::Pcma, Codec::G722];
    })
}

/// Share of one frequency in the power of `samples`.
fn share(samples: &[i16], hz: f64, rate: f64) -> f64 {
    let (mut re, mut im, mut power) = (0.0, 0.0, 1e-9);
    for (n, sample) in samples.iter().enumerate() {
        let (sample, angle) = (f64::from(*sample), TAU * hz / rate * n as f64);
        re += sample * angle.cos();
        im += sample * angle.sin();
        power += sample * sample;
    }
    2.0 * (re * re + im * im) / (power * samples.len() as f64)
}

/// SDP-05: the offerer's first codec that we take is G.722; what the caller says above 4 kHz reaches the model.
#[test]
fn the_model_hears_wideband() {
    let mut world = wideband().talk();
    world.service.keep_audio = true;
    world.peer.voice = Voice::Hz(6_000);
    world.run(secs(2));
    let audio = &world.service.audio[12_000..36_000];
    assert!(share(audio, 6_000.0, 24_000.0) > 0.9, "{}", share(audio, 6_000.0, 24_000.0));
    let peak = audio.iter().map(|s| s.unsigned_abs()).max().expect("audio");
    assert!((8_000..=12_500).contains(&peak), "{peak}");
}

/// RTP-03, SDP-11: octets of 64 kbit/s, timestamps by the clock of 8000, each packet as long as asked for; every word of the agent.
#[test]
fn the_caller_hears_wideband_packets() {
    for ptime in [10u32, 20, 30, 60] {
        let with_ptime = |s: &mut Setup| {
            let text =
                String::from_utf8_lossy(&offer("9 101", 1, "sendrecv")).replace("ptime:20", &format!("ptime:{ptime}"));
            s.offer = Some(text.into());
        };
        let mut world = wideband().with(with_ptime).talk();
        world.run(secs(1));
        world.peer.assert_one_stream();
        // When the caller's first packets come, ours move once to stand behind them; from then on the clock is even.
        let even: Vec<_> = world.peer.got.iter().filter(|g| g.at > world.now - secs(1)).collect();
        assert!(even.len() as u32 >= 900 / ptime, "ptime {ptime}: {} packets", even.len());
        for pair in even.windows(2) {
            assert_eq!((pair[1].payload_type, pair[1].payload.len() as u32), (9, ptime * 8), "ptime {ptime}");
            assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), ptime * 8, "ptime {ptime}");
            assert_eq!(pair[1].at - pair[0].at, ms(u64::from(ptime)), "ptime {ptime}");
        }
        let spoken = world.peer.speech_ms();
        assert!((990..=1_010).contains(&spoken), "ptime {ptime}: {spoken} ms of 1,000");
    }
}

/// SDP-05, SDP-10: by re-INVITE to G.722 and back while the agent speaks: one stream, one timeline, no word lost, the ledger as it was.
#[test]
fn a_reinvite_changes_the_rate() {
    let narrow = |s: &mut Setup| (s.offer, s.codec) = (Some(offer("0 101", 1, "sendrecv")), Codec::Pcmu);
    let mut world = wideband().with(narrow).talk();
    let from = world.now;
    world.model_speaks(3_000).run(ms(900));
    for (version, codec) in [(2, Codec::G722), (3, Codec::Pcma)] {
        let formats = format!("{} 101", codec.static_payload_type());
        world.peer.codec = codec;
        world.input(voxtrunk::call::Input::Sip(voxtrunk::sip::user_agent::UaEvent::Reinvite {
            session: crate::world::SESSION,
            offer: Some(offer(&formats, version, "sendrecv")),
        }));
        world.run(ms(600));
        assert_eq!(world.peer.got.last().map(|g| g.payload_type), Some(codec.static_payload_type()));
    }
    world.run(secs(3));
    world.peer.assert_one_stream();
    let said: Vec<_> = world.peer.got.iter().filter(|g| g.at > from).collect();
    assert!(said.windows(2).all(|p| p[1].timestamp.wrapping_sub(p[0].timestamp) == 160), "one timeline");
    let loud = said.iter().filter(|g| g.is_loud()).count();
    assert!((149..=152).contains(&loud), "3,000 ms are 150 packets, not {loud}");
    // At every seam the tone goes on: no sample far from those beside it.
    for got in said.iter().filter(|g| g.is_loud()).skip(1).take(147) {
        let step = got.samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0);
        assert!(step < 5_500, "a click at {:?}: {step}", got.at);
    }
    world.model_speaks(3_000).run(ms(1_000));
    let before = world.now;
    world.caller_begins().run(ms(500));
    assert!(world.truncated_at().abs_diff(1_000) < 60, "{} at {before:?}", world.truncated_at());
}

/// RTP-07: the peer changes between G.722 and G.711 with every packet: time and level stay, and nothing is dropped.
#[test]
fn each_packet_another_codec() {
    let mut world = wideband().with(|s| s.offer = None).ring();
    world.ack_sdp = Some(offer("9 0 8 101", 1, "sendrecv"));
    world.answered_within(ms(300));
    world.run(secs(3));
    world.service.keep_audio = true;
    world.peer.voice = Voice::Tone;
    let bytes = world.service.audio_bytes;
    let since = world.now;
    for n in 0..100 {
        world.peer.codec = [Codec::G722, Codec::Pcma, Codec::Pcmu][n % 3];
        world.run(ms(20));
    }
    let (got, passed) = ((world.service.audio_bytes - bytes) / 48, (world.now - since).as_millis() as u64);
    assert!(passed.abs_diff(got) <= 100, "{got} ms of audio in {passed} ms");
    let audio = &world.service.audio[24_000..48_000];
    let rises = audio.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
    assert!((480..=520).contains(&rises), "500 Hz, not {rises}");
    world.caller_hangs_up();
    assert_eq!(world.ends_within(ms(0)).cdr.rtp.lost, 0);
}

/// A hole in a G.722 stream is concealed: as much audio as time.
#[test]
fn loss_is_concealed() {
    let mut world = wideband().talk();
    world.peer.voice = Voice::Tone;
    world.peer.lose_every = Some(10);
    let (bytes, since) = (world.service.audio_bytes, world.now);
    world.run(secs(10));
    let (got, passed) = ((world.service.audio_bytes - bytes) / 48, (world.now - since).as_millis() as u64);
    assert!(passed.abs_diff(got) <= 100, "{got} ms of audio in {passed} ms");
    world.caller_hangs_up();
    let cdr = &world.ends_within(ms(0)).cdr;
    assert!((45..=55).contains(&cdr.rtp.lost), "{cdr:?}");
    assert!((800..=1_100).contains(&cdr.rtp.concealed_ms), "{cdr:?}");
}

/// `audio = "g711"` in the dialplan is for G.711 calls: one that comes with G.722 gets PCM16, and is heard and heard of in full.
#[test]
fn g711_sessions_stay_with_g711() {
    let mut world = wideband().plan(|p| p.audio = AudioChoice::G711).with(|s| s.codecs = vec![Codec::G722]).ring();
    world.service.g711 = false;
    world.answered_within(ms(800)).run(secs(3));
    assert!((990..=1_010).contains(&world.peer.speech_ms()), "{}", world.peer.speech_ms());
}
