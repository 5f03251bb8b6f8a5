//! CPU of a Realtime session on loopback sockets, 20 ms of audio out and 20 ms in: `cargo bench --bench tls`. Without TLS, with 1.3 and 1.2.
//!
//! The service runs in another thread; what it takes is in the time when cores are scarce. Instructions of our side alone:
//! `valgrind --tool=callgrind --toggle-collect='*exchange*' target/release/deps/tls-… --bench --profile-time 5`.

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/session/mod.rs"]
mod session;

fn exchange(criterion: &mut Criterion) {
    let versions =
        [("plain", None), ("tls 1.3", Some(&rustls::version::TLS13)), ("tls 1.2", Some(&rustls::version::TLS12))];
    for (name, tls) in versions {
        let mut session = session::Session::open(tls);
        criterion.bench_function(&format!("session: 20 ms out and in, {name}"), |b| b.iter(|| session.exchange()));
    }
}

criterion_group!(benches, exchange);
criterion_main!(benches);
