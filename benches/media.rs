//! CPU of the media path, one 20 ms frame at a time: `cargo bench --bench media`.
//!
//! `up` = a datagram with 160 codes of G.711 → receiver → 480 samples of 24 kHz; `down` = 480 samples of 24 kHz → play-out → a datagram.
//! A call-second is 50 of each. `srtp` = one packet of it protected, and opened again.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use voxtrunk::audio::conceal::Concealer;
use voxtrunk::audio::g711::Law;
use voxtrunk::audio::pcm::{FRAME_8K, Rate};
use voxtrunk::audio::playout::Playout;
use voxtrunk::audio::resample::{Downsampler, Upsampler};
use voxtrunk::audio::tone;
use voxtrunk::codec::Codec;
use voxtrunk::net::clock;
use voxtrunk::rtp::packet::{self, Packet};
use voxtrunk::rtp::receiver::{Received, Receiver, ReceiverParams, SourcePolicy};
use voxtrunk::rtp::sender::Sender;
use voxtrunk::rtp::srtp::Srtp;
use voxtrunk::srtp_key::{MasterKey, SrtpKeys, Suite};

fn up(criterion: &mut Criterion) {
    let peer = SocketAddr::from(([192, 0, 2, 1], 4000));
    let mut receiver = Receiver::new(ReceiverParams {
        policy: SourcePolicy::Strict,
        sdp_remote: Some(peer),
        allowed: vec![],
        audio_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        dtmf_payload_type: Some(101),
        comfort_noise: Some(13),
        reorder_wait: Duration::from_millis(60),
    });
    let (mut concealer, mut upsampler) = (Concealer::new(Rate::Hz8000), Upsampler::new(Rate::Hz8000));
    let (mut datagram, mut narrow, mut wide) = (Vec::new(), Vec::new(), Vec::new());
    let mut codes = Vec::new();
    Law::Mu.encode(&tone::voice(20, 1), &mut codes);
    let (mut now, mut n) = (clock::now(), 0u32);
    let mut receive = |through_audio: bool| {
        n += 1;
        now += Duration::from_millis(20);
        let packet = Packet {
            payload_type: 0,
            marker: false,
            sequence: n as u16,
            timestamp: n.wrapping_mul(160),
            ssrc: 1,
            payload: &codes,
        };
        packet::write(&packet, &mut datagram);
        receiver.handle_datagram(now, peer, &datagram);
        while let Some(received) = receiver.poll(now) {
            let Received::Audio { payload, .. } = received else { continue };
            if through_audio {
                narrow.clear();
                wide.clear();
                Law::Mu.decode(payload, &mut narrow);
                concealer.good(&mut narrow);
                upsampler.process(&narrow, &mut wide);
            }
            black_box((payload, &wide));
        }
    };
    criterion.bench_function("up: datagram to 24 kHz", |b| b.iter(|| receive(true)));
    criterion.bench_function("up: receiver alone (and writing the packet)", |b| b.iter(|| receive(false)));
}

fn down(criterion: &mut Criterion) {
    let wide: Vec<i16> = tone::voice(20, 2).into_iter().flat_map(|sample| [sample; 3]).collect();
    let (mut downsampler, mut playout, mut sender) =
        (Downsampler::new(Rate::Hz8000), Playout::new(Rate::Hz8000), Sender::new(1, 2, 3));
    let (mut narrow, mut codes, mut datagram) = (Vec::new(), Vec::new(), Vec::new());
    let mut frame = [0; FRAME_8K];
    criterion.bench_function("down: 24 kHz to datagram", |b| {
        b.iter(|| {
            narrow.clear();
            codes.clear();
            downsampler.process(black_box(&wide), &mut narrow);
            playout.push(1, &narrow);
            playout.next_frame(&mut frame);
            Law::Mu.encode(&frame, &mut codes);
            sender.frame(&codes, &mut datagram);
            black_box(&datagram);
        });
    });
}

fn parts(criterion: &mut Criterion) {
    let voice = tone::voice(20, 3);
    let wide: Vec<i16> = voice.iter().flat_map(|sample| [*sample; 3]).collect();
    for law in [Law::Mu, Law::A] {
        let (mut codes, mut samples) = (Vec::new(), Vec::new());
        law.encode(&voice, &mut codes);
        let encoded = codes.clone();
        criterion.bench_function(&format!("g711 {law:?}: encode a frame"), |b| {
            b.iter(|| {
                codes.clear();
                law.encode(black_box(&voice), &mut codes);
                black_box(&codes);
            });
        });
        criterion.bench_function(&format!("g711 {law:?}: decode a frame"), |b| {
            b.iter(|| {
                samples.clear();
                law.decode(black_box(&encoded), &mut samples);
                black_box(&samples);
            });
        });
    }
    let (mut upsampler, mut downsampler, mut out) =
        (Upsampler::new(Rate::Hz8000), Downsampler::new(Rate::Hz8000), Vec::new());
    criterion.bench_function("resample: 160 to 480", |b| {
        b.iter(|| {
            out.clear();
            upsampler.process(black_box(&voice), &mut out);
            black_box(&out);
        });
    });
    criterion.bench_function("resample: 480 to 160", |b| {
        b.iter(|| {
            out.clear();
            downsampler.process(black_box(&wide), &mut out);
            black_box(&out);
        });
    });
    let mut concealer = Concealer::new(Rate::Hz8000);
    criterion.bench_function("conceal: a lost frame, then a good one", |b| {
        b.iter(|| {
            out.clear();
            concealer.conceal(FRAME_8K, &mut out);
            out.extend_from_slice(&voice);
            concealer.good(&mut out[FRAME_8K..]);
            black_box(&out);
        });
    });
}

/// One packet of 20 ms of G.711, 172 octets.
fn srtp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp");
    for suite in Suite::ALL {
        let key = MasterKey::new(suite, &vec![5; suite.key_len() + suite.salt_len()]).expect("a key of that length");
        let keys = SrtpKeys { suite, send: key.clone(), receive: key };
        let end = || Srtp::new(&keys).expect("good keys");
        let (now, mut sender, mut packet) = (clock::now(), Sender::new(1, 2, 3), Vec::new());
        let mut one = end();
        group.bench_function(format!("protect, {}", suite.name()), |b| {
            b.iter(|| {
                sender.frame(&[0x55; FRAME_8K], &mut packet);
                one.protect_rtp(black_box(&mut packet)).expect("protected");
            });
        });
        let (mut one, mut other) = (end(), end());
        group.bench_function(format!("protect and unprotect, {}", suite.name()), |b| {
            b.iter(|| {
                sender.frame(&[0x55; FRAME_8K], &mut packet);
                one.protect_rtp(&mut packet).expect("protected");
                black_box(other.unprotect_rtp(now, &packet).expect("authentic"));
            });
        });
    }
    group.finish();
}

criterion_group!(media, up, down, parts, srtp);
criterion_main!(media);
