//! In-tree fuzzing on the stable toolchain: seeded mutations of a corpus with a dictionary, bounded in rounds, or in seconds when
//! `VOXTRUNK_FUZZ_SECONDS` is set. `VOXTRUNK_FUZZ_SEED` repeats a run; seed, round and input are printed when one fails.
//!
//! In: a corpus. Out: inputs, and what ran on each of them within [`LIMIT`] of CPU time.

mod bodies;
mod digest;
mod media;
mod values;

use crate::support::Rng;
use std::time::{Duration, Instant};
use voxtrunk::net::clock;

/// No input of at most 64 KiB may cost more, in an unoptimised build on a busy machine.
const LIMIT: Duration = Duration::from_millis(100);

const PIECES: [&[u8]; 58] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"@",
    b"[",
    b"]",
    b"%",
    b"=",
    b"?",
    b"/",
    b"\xff",
    b"\xc3\xa9",
    b"4294967296",
    b"2147483648",
    b"18446744073709551616",
    b"-1",
    b"\r\n ",
    b"\r\n\r\n",
    b"--",
    b"%00",
    b"%0d%0a",
    b"\\\"",
    b"<>",
    b"<sip:",
    b"sip:",
    b"tel:+1",
    b"[::1]",
    b";lr",
    b";tag=",
    b";branch=z9hG4bK",
    b";received=",
    b";rport",
    b";q=0.5",
    b"SIP/2.0",
    b"SIP/2.0/UDP ",
    b"Content-Length: 0\r\n",
    b"l: 5\r\n",
    b"v: ",
    b"m=audio 1 RTP/AVP 0\r\n",
    b"a=rtpmap:0 PCMU/8000\r\n",
    b"c=IN IP4 0.0.0.0\r\n",
    b"a=inactive\r\n",
    b"--x\r\n",
    b"--x--",
    b"application/sdp",
    b"multipart/mixed;boundary=x",
    b"\x80\x00",
    b"Signal=",
];

/// Flips, inserts, deletes, doubles, swaps, cuts or joins with another input, one to six times.
pub fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..1 + rng.below(6) {
        let at = rng.below(out.len() + 1);
        match rng.below(9) {
            0 if at < out.len() => out[at] = rng.next() as u8,
            1 | 2 => {
                let piece = rng.pick(&PIECES);
                out.splice(at..at, piece.iter().copied());
            }
            3 => {
                let end = (at + 1 + rng.below(20)).min(out.len());
                out.drain(at.min(end)..end);
            }
            4 => {
                let end = (at + rng.below(60)).min(out.len());
                let copy = out[at..end].to_vec();
                out.splice(at..at, copy);
            }
            5 if rng.below(4) == 0 => out.truncate(at),
            6 if rng.below(20) == 0 => {
                let (end, times) = ((at + 1 + rng.below(8)).min(out.len()), 1 + rng.below(2_000));
                let copy = out[at..end].repeat(times);
                out.splice(at..at, copy);
            }
            7 if !other.is_empty() => {
                let start = rng.below(other.len());
                let end = (start + rng.below(200)).min(other.len());
                out.splice(at..at, other[start..end].iter().copied());
            }
            _ if at < out.len() => {
                let with = rng.below(out.len());
                out.swap(at, with);
            }
            _ => {}
        }
    }
    out.truncate(64 * 1024);
    out
}

/// One run over one corpus.
pub struct Fuzz {
    name: &'static str,
    seed: u64,
    pub rng: Rng,
    corpus: Vec<Vec<u8>>,
    rounds: usize,
    /// Instead of the rounds.
    until: Option<Instant>,
    round: usize,
}

/// Prints the input of a round that panics.
struct Told<'a>(&'a Fuzz, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Fuzz { name, seed, round, .. } = self.0;
            println!("{name}: VOXTRUNK_FUZZ_SEED={seed} round {round}: \"{}\"", self.1.escape_ascii());
        }
    }
}

impl Fuzz {
    pub fn new(name: &'static str, corpus: Vec<Vec<u8>>, rounds: usize) -> Fuzz {
        let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
        let seed = number("VOXTRUNK_FUZZ_SEED").unwrap_or(20_261_122);
        println!("{name}: VOXTRUNK_FUZZ_SEED={seed}");
        let until = number("VOXTRUNK_FUZZ_SECONDS").map(|s| clock::now() + Duration::from_secs(s));
        let salt = name.bytes().fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
        Fuzz { name, seed, rng: Rng(seed ^ salt), corpus, rounds, until, round: 0 }
    }

    /// The next input; `None` when the time or the rounds are over.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        let over = match self.until {
            Some(until) => self.round.is_multiple_of(64) && clock::now() >= until,
            None => self.round >= self.rounds,
        };
        if over {
            return None;
        }
        let (one, other) = (self.round % self.corpus.len(), self.rng.below(self.corpus.len()));
        self.round += 1;
        let input = mutate(&mut self.rng, &self.corpus[one], &self.corpus[other]);
        Some(input)
    }

    /// Runs `work` on an input; panics when it takes too long.
    #[track_caller]
    pub fn run<T>(&self, input: &[u8], work: impl FnOnce() -> T) -> T {
        let told = Told(self, input);
        let start = voxtrunk::net::clock::thread_cpu();
        let out = work();
        let took = voxtrunk::net::clock::thread_cpu().saturating_sub(start);
        assert!(took < LIMIT, "{took:?} for {} bytes", input.len());
        drop(told);
        out
    }

    /// Runs `work` over every input to the end, and gives how many of them it liked.
    #[track_caller]
    pub fn each(mut self, mut work: impl FnMut(&[u8]) -> bool) -> usize {
        let mut liked = 0;
        while let Some(input) = self.next() {
            liked += usize::from(self.run(&input, || work(&input)));
        }
        // A corpus that is all refused, or all taken, tests half of a parser.
        println!("{}: {} rounds, {liked} taken", self.name, self.round);
        liked
    }
}
