//! Speech through bad networks, as the session hears it: nothing that comes within 200 ms is lost, and the session's clock stays near the
//! wall's. `VOXTRUNK_QUALITY_DIR=DIR` keeps what was heard as WAV files there, for PESQ.

#[path = "../../support/impairment.rs"]
mod impairment;

use crate::peer::rtp;
use crate::world::{World, ms, peer_addr, secs};
use impairment::{Impairment, Path};
use std::collections::BTreeMap;
use std::path::Path as File;
use std::time::Duration;
use voxtrunk::audio::front::FrontParams;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::{quality, wav};
use voxtrunk::call::Input;
use voxtrunk::config::dialplan::{AudioChoice, Dialplan};
use voxtrunk::observe::cdr::RtpRecord;

/// What a caller says: four clips, with pauses.
fn speech() -> Vec<i16> {
    let mut said = vec![0i16; 6_400];
    for name in ["opening_hours", "book_appointment", "thats_all", "interruption"] {
        let file = File::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/speech/caller/{name}.wav"));
        said.extend(wav::read_8k_mono(&file).expect("a clip of ours"));
        said.resize((said.len() + 3_200).next_multiple_of(160), 0);
    }
    said
}

/// How one sender makes packets.
#[derive(Clone, Copy)]
struct Sender {
    /// Samples in a packet.
    packet: usize,
    /// Nothing is sent while nobody speaks.
    dtx: bool,
    /// A comfort noise packet at the begin of each pause.
    comfort_noise: bool,
}

const PLAIN: Sender = Sender { packet: 160, dtx: false, comfort_noise: false };

struct Heard {
    samples: Vec<i16>,
    rtp: RtpRecord,
    /// The session's clock less the wall's, least and most, ms, from a moment at which it lags: up to 100 ms after silence without packets.
    clock: (i64, i64),
}

/// A call in which the caller says `said` through such a network.
fn call(name: &str, said: &[i16], sender: Sender, path: Path, seed: u64) -> Heard {
    // Without the front end, which changes levels by intent: what is judged is the network's doing.
    let plan = |p: &mut Dialplan| (p.audio, p.front) = (AudioChoice::G711, FrontParams::OFF);
    let mut world = World::setup().plan(plan).talk();
    world.service.keep_audio = true;
    world.peer.next = secs(9_999);
    world.run(ms(100));
    let mut network = Impairment::new(path, seed);
    let mut packets: BTreeMap<(Duration, usize), Vec<u8>> = BTreeMap::new();
    let (mut sequence, mut silent) = (20_000u16, false);
    for (n, samples) in said.chunks(sender.packet).enumerate() {
        let (timestamp, at) = (0x1000_0000 + (n * sender.packet) as u32, ms((n * sender.packet / 8) as u64));
        let quiet = sender.dtx && samples.iter().all(|s| s.unsigned_abs() < 40);
        let packet = if !quiet {
            let mut payload = Vec::new();
            Law::Mu.encode(samples, &mut payload);
            sequence += 1;
            rtp(0, sequence, timestamp, &payload)
        } else if sender.comfort_noise && !silent {
            sequence += 1;
            rtp(13, sequence, timestamp, &[60])
        } else {
            silent = true;
            continue;
        };
        silent = quiet;
        for (copy, arrival) in network.arrivals(at).into_iter().flatten().enumerate() {
            packets.insert((arrival, 2 * n + copy), packet.clone());
        }
    }
    let (begin, bytes) = (world.now, world.service.audio_bytes);
    let (mut least, mut most) = (0, 0);
    world.service.audio.clear();
    let length = ms(said.len() as u64 / 8 + 400);
    while world.now < begin + length {
        while packets.first_key_value().is_some_and(|((at, _), _)| begin + *at <= world.now) {
            let Some((_, packet)) = packets.pop_first() else { break };
            world.input(Input::Rtp { from: peer_addr(), datagram: &packet });
        }
        let clock = (world.service.audio_bytes - bytes) as i64 / 8 - (world.now - begin).as_millis() as i64;
        (least, most) = (least.min(clock), most.max(clock));
        world.step();
    }
    let samples = std::mem::take(&mut world.service.audio);
    if let Some(dir) = std::env::var_os("VOXTRUNK_QUALITY_DIR") {
        let dir = File::new(&dir);
        wav::write(&dir.join("reference.wav"), 8_000, &[said]).expect("written");
        wav::write(&dir.join(format!("{name}-{seed}.wav")), 8_000, &[&samples]).expect("written");
    }
    world.caller_hangs_up();
    let rtp = world.ends_within(ms(0)).cdr.rtp;
    println!("{name}, seed {seed}: clock {least}..{most} ms, {rtp:?}");
    Heard { samples, rtp, clock: (least, most) }
}

/// Root of the mean square.
fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

fn jitter(ms: u64) -> Path {
    Path { jitter: Duration::from_millis(ms), ..Path::default() }
}

/// RTP-04: jitter up to 120 ms costs not one sample: what was said is heard, the packets of the first unforeseen delay apart.
#[test]
fn jitter_costs_nothing() {
    let said = speech();
    for (name, most_jitter, least_correlation) in
        [("jitter-0", 0, 0.999), ("jitter-20", 20, 0.999), ("jitter-60", 60, 0.999)]
    {
        for seed in 1..=3 {
            let heard = call(name, &said, PLAIN, jitter(most_jitter), seed);
            let report = quality::compare(&said, &heard.samples).expect("speech");
            assert!(report.correlation > least_correlation, "{name}, seed {seed}: {report:?}");
            assert!(report.gaps.is_empty() && report.clicks.is_empty(), "{name}, seed {seed}: {report:?}");
            assert_eq!((heard.rtp.lost, heard.rtp.concealed_ms), (0, 0), "{name}");
            assert!(heard.clock.0 >= -120 && heard.clock.1 <= 200, "{name}, seed {seed}: {:?}", heard.clock);
        }
    }
}

/// RTP-04, S4: on every network the session's clock stays within the bound, and what is not lost by the network is heard.
#[test]
fn bad_networks() {
    let said = speech();
    let networks = [
        ("jitter-120", jitter(120)),
        ("loss-2", Path { loss: 0.02, ..Path::default() }),
        ("loss-5", Path { loss: 0.05, ..Path::default() }),
        ("loss-10", Path { loss: 0.10, ..Path::default() }),
        ("loss-2-jitter-60", Path { loss: 0.02, ..jitter(60) }),
        ("loss-5-jitter-120", Path { loss: 0.05, ..jitter(120) }),
        ("reorder-5", Path { reorder: 0.05, ..Path::default() }),
        ("duplicate-5", Path { duplicate: 0.05, ..Path::default() }),
    ];
    for (name, path) in networks {
        for seed in 1..=4 {
            let heard = call(name, &said, PLAIN, path, seed);
            assert!(heard.clock.0 >= -230 && heard.clock.1 <= 300, "{name}, seed {seed}: {:?}", heard.clock);
            // Small shifts in time are no loss, but a comparison by samples would take them for one; PESQ hears the difference.
            let level = 20.0 * (rms(&heard.samples) / rms(&said)).log10();
            assert!(level.abs() < 1.0, "{name}, seed {seed}: {level} dB");
            let concealed = heard.rtp.concealed_ms.abs_diff(heard.rtp.lost * 20);
            assert!(concealed <= 40 + heard.rtp.lost * 2, "{name}, seed {seed}: {:?}", heard.rtp);
            assert!(heard.rtp.late <= 3, "{name}, seed {seed}: {:?}", heard.rtp);
        }
    }
}

/// RTP-15: pauses that are not sent are pauses: nothing is concealed, and each word is where it was, with comfort noise and without.
#[test]
fn pauses_that_are_not_sent() {
    let said = speech();
    for (name, comfort_noise) in [("dtx", false), ("dtx-cn", true)] {
        for (path, seed) in [(Path::default(), 1), (jitter(60), 2), (Path { loss: 0.05, ..jitter(60) }, 3)] {
            let sender = Sender { dtx: true, comfort_noise, ..PLAIN };
            let heard = call(name, &said, sender, path, seed);
            assert!(heard.clock.0 >= -130 && heard.clock.1 <= 200, "{name}, seed {seed}: {:?}", heard.clock);
            let level = 20.0 * (rms(&heard.samples) / rms(&said)).log10();
            assert!(level.abs() < 0.5, "{name}, seed {seed}: {level} dB");
            if path.loss == 0.0 {
                assert_eq!(heard.rtp.concealed_ms, 0, "{name}, seed {seed}");
            }
            if path == Path::default() {
                let report = quality::compare(&said, &heard.samples).expect("speech");
                assert!(report.correlation > 0.99, "{name}, seed {seed}: {report:?}");
            }
        }
    }
}

/// RTP-04: packets of any length, odd ones too, are heard whole.
#[test]
fn packets_of_any_length() {
    let said = speech();
    for packet in [80, 83, 160, 240, 320, 480, 800, 1_331, 1_440] {
        let heard = call(&format!("packet-{packet}"), &said, Sender { packet, ..PLAIN }, jitter(10), 1);
        let report = quality::compare(&said, &heard.samples).expect("speech");
        assert!(report.correlation > 0.999, "{packet}: {report:?}");
        assert!(report.gaps.is_empty() && report.clicks.is_empty(), "{packet}: {report:?}");
    }
}
