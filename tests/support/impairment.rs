//! A network that loses, delays, overtakes and doubles packets; pure and seeded. Shared by the simulations and by the relay of interop.
#![allow(dead_code, reason = "not each of them needs all of it")]

use std::time::Duration;

/// What a path does to packets. All shares are 0-1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Path {
    pub loss: f64,
    /// Each packet is delayed by 0 to this, evenly; order is kept, so that packets heap up behind a late one as they do in a queue.
    pub jitter: Duration,
    /// Packets that take a way 30 to 60 ms longer and are overtaken.
    pub reorder: f64,
    pub duplicate: f64,
    /// From the packet of this number on the way is so much longer ([`Impairment::arrivals_of`]).
    pub longer: Option<(i64, Duration)>,
}

/// One direction of one stream.
pub struct Impairment {
    path: Path,
    seed: u64,
    state: u64,
    last: Duration,
}

impl Impairment {
    pub fn new(path: Path, seed: u64) -> Impairment {
        Impairment { path, seed, state: seed, last: Duration::ZERO }
    }

    /// When a packet sent at `now` arrives, and its copy.
    pub fn arrivals(&mut self, now: Duration) -> [Option<Duration>; 2] {
        // The same number of draws for each packet: with the same seed, two conditions lose the same packets.
        let [lost, delayed, overtaken, detour, doubled, copied] = std::array::from_fn(|_| self.random());
        if lost < self.path.loss {
            return [None, None];
        }
        let mut at = (now + self.path.jitter.mul_f64(delayed)).max(self.last);
        self.last = at;
        if overtaken < self.path.reorder {
            at += Duration::from_secs_f64(0.030 + 0.030 * detour);
        }
        let copy = (doubled < self.path.duplicate).then(|| at + Duration::from_secs_f64(0.040 * copied));
        [Some(at), copy]
    }

    /// The same for the packet of this number, whatever came before it: what becomes of it follows from seed and number alone.
    pub fn arrivals_of(&mut self, number: i64, now: Duration) -> [Option<Duration>; 2] {
        self.state = self.seed;
        let begin = self.draw() ^ number as u64;
        self.state = begin;
        self.state = self.draw();
        let longer = self.path.longer.filter(|(from, _)| number >= *from).map_or(Duration::ZERO, |(_, by)| by);
        self.arrivals(now + longer)
    }

    /// 0-1.
    fn random(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
