//! What one header costs.

use criterion::{Criterion, criterion_group, criterion_main};
use pow::{Algorithm, HeaderHasher, Midstate, sha256::sha256d_pair};
use std::hint::black_box;

fn hashes(c: &mut Criterion) {
    let header = [7; 80];
    c.bench_function("sha256d of a header", |b| {
        b.iter(|| Algorithm::Sha256d.hash(black_box(&header)));
    });
    c.bench_function("scrypt of a header", |b| {
        b.iter(|| Algorithm::Scrypt.hash(black_box(&header)));
    });
    let mut hasher = HeaderHasher::new(&header);
    c.bench_function("a thousand nonces of one header", |b| {
        b.iter(|| hasher.scan(black_box(0..=999), 0));
    });
    c.bench_function("merkle step", |b| {
        b.iter(|| sha256d_pair(black_box(&[1; 32]), black_box(&[2; 32])));
    });
    let coinbase = Midstate::new(&[5; 100]);
    c.bench_function("coinbase of 250 bytes from its midstate", |b| {
        b.iter(|| coinbase.finish(black_box(&[&[1; 12], &[2; 138]])));
    });
}

criterion_group!(benches, hashes);
criterion_main!(benches);
