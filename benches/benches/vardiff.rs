//! What the difficulty of a connection costs: nearly nothing, and that it is so is the point, for
//! it is done at each share. `make bench`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mining::{
    Difficulty,
    vardiff::{Limits, Vardiff},
};

const LIMITS: Limits = Limits {
    min: Difficulty::MIN,
    max: Difficulty::MAX,
    share_time_ms: 15_000,
    harder_only: false,
};

fn shares(c: &mut Criterion) {
    for (name, gap_ms) in [
        ("vardiff, a share in time", 15_000),
        // The difficulty is changed every few shares, until it can rise no more.
        ("vardiff, a share of a flood", 100),
    ] {
        let mut vardiff = Vardiff::new(LIMITS, Difficulty::ONE, 0);
        let mut now_ms = 0;
        c.bench_function(name, |b| {
            b.iter(|| {
                now_ms += gap_ms;
                let difficulty = vardiff.current();
                vardiff.share(black_box(difficulty), black_box(now_ms))
            });
        });
    }
    let mut vardiff = Vardiff::new(LIMITS, Difficulty::ONE, 0);
    c.bench_function("vardiff, a tick", |b| {
        b.iter(|| vardiff.tick(black_box(1_000)));
    });
}

criterion_group!(benches, shares);
criterion_main!(benches);
