//! What it costs to give work: jobs for all classes of devices from a full template, the
//! `mining.notify` line of each miner, and to read what miners send. `make bench`

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mining::{
    Amount, Target, Template,
    coinbase::Payees,
    device::CoinbaseClass,
    job::JobTemplate,
    template::{Room, TemplateKind, Transactions},
};
use pow::{Algorithm, Hash};
use wire::sv1::{ClientMessage, JobId, NotifyLine, Request, Work};

const TRANSACTIONS: u32 = 2_000;
const BITS: u32 = 0x1700_ffff;
const TIME: u32 = 1_700_000_000;

fn template(txids: &[Hash]) -> Arc<Template> {
    Arc::new(Template {
        height: 900_000,
        version: 0x2000_0000,
        previous: Hash([1; 32]),
        bits: BITS,
        target: Target::from_compact(BITS).expect("a target"),
        time: TIME,
        min_time: TIME - 600,
        value: Amount::from_units(312_500_000),
        fees: Amount::ZERO,
        witness_commitment: Some(vec![0x6a; 38]),
        coinbase_flags: vec![],
        transactions: Transactions::new(String::new(), txids),
        tail: String::new(),
        room: Room::EMPTY_BLOCK,
        kind: TemplateKind::Full,
    })
}

fn classes(template: &Arc<Template>) -> [Arc<JobTemplate>; CoinbaseClass::ALL.len()] {
    let payees = Payees {
        outputs: vec![],
        keeper: vec![0x51; 22],
    };
    JobTemplate::for_all_classes(template, b"/adit/", &payees, 8, 1, Algorithm::Sha256d)
        .expect("a coinbase for each class")
}

/// As the template feed makes it.
fn line(job: &JobTemplate) -> NotifyLine {
    let template = &job.template;
    NotifyLine::new(&Work {
        previous_block: template.previous.to_bytes(),
        coinbase1: job.coinbase.prefix().to_vec(),
        coinbase2: job.coinbase.suffix().to_vec(),
        branch: template.transactions.branch().hashes().to_vec(),
        version: template.version,
        bits: template.bits,
        ntime: template.time,
    })
}

fn jobs(c: &mut Criterion) {
    let txids: Vec<Hash> = (0..TRANSACTIONS)
        .map(|number| pow::sha256d(&number.to_le_bytes()))
        .collect();
    let mut group = c.benchmark_group("a template of 2000 transactions");
    group.bench_function("merkle branch", |b| {
        b.iter(|| template(black_box(&txids)));
    });
    let template = template(&txids);
    group.bench_function("jobs for all classes", |b| {
        b.iter(|| classes(black_box(&template)));
    });
    let jobs = classes(&template);
    group.bench_function("notify lines for all classes", |b| {
        b.iter(|| black_box(&jobs).each_ref().map(|job| line(job)));
    });
    group.bench_function("from its txids to the lines", |b| {
        b.iter(|| {
            let template = self::template(black_box(&txids));
            classes(&template).each_ref().map(|job| line(job))
        });
    });
}

fn lines(c: &mut Criterion) {
    let txids: Vec<Hash> = (0..TRANSACTIONS)
        .map(|number| pow::sha256d(&number.to_le_bytes()))
        .collect();
    let line = line(&classes(&template(&txids))[CoinbaseClass::Stock.index()]);
    let mut out = Vec::new();
    let mut group = c.benchmark_group("lines");
    line.write(&mut out, JobId(1), [0; 4], true);
    group.throughput(Throughput::Bytes(
        u64::try_from(out.len()).expect("a line is short"),
    ));
    group.bench_function("write a notify into a fresh buffer", |b| {
        b.iter(|| {
            let mut out = Vec::new();
            line.write(&mut out, JobId(black_box(7)), [1, 2, 3, 4], false);
            out
        });
    });
    let submit = br#"{"id":417,"method":"mining.submit","params":["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig7","1f","00000000000000c4","65432100","c0ad31ee","00a2e000"]}"#;
    let subscribe = br#"{"id":1,"method":"mining.subscribe","params":["bitaxe/BM1370/v2.9.0"]}"#;
    assert!(matches!(
        Request::parse(submit).map(|request| request.message),
        Ok(ClientMessage::Submit(_))
    ));
    for (name, line) in [
        ("read a submit", &submit[..]),
        ("read a subscribe", subscribe),
    ] {
        group.throughput(Throughput::Bytes(
            u64::try_from(line.len()).expect("a line is short"),
        ));
        group.bench_function(name, |b| b.iter(|| Request::parse(black_box(line))));
    }
    group.bench_function("read a submit the long way", |b| {
        b.iter(|| Request::parse_any(black_box(submit)));
    });
}

criterion_group!(benches, jobs, lines);
criterion_main!(benches);
