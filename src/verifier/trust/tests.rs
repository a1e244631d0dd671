//! Who is believed, with the real generator: what is random is repeated until chance is out of it.

use super::*;

const WORK: Work = Work::from_hashes(1_000);

fn trusted(after: u32, least: u16) -> Trusted {
    Trusted::new(Some(Sampling::new(after, least).unwrap()))
}

fn worker(address: &str, name: &str) -> Arc<WorkerName> {
    Arc::new(WorkerName::new(address, name).unwrap())
}

fn claim(hashes: u128) -> Claim {
    Claim {
        work: Work::from_hashes(hashes),
        is_candidate: false,
    }
}

fn show(trusted: &Trusted, who: &WorkerName, count: u32) {
    (0..count).for_each(|_| trusted.shown(who, WORK));
}

/// Asks until the draw falls on one.
fn sample(trusted: &Trusted, who: &Arc<WorkerName>) -> Sample {
    for _ in 0..100_000 {
        if let Asked::Sample(sample) = trusted.ask(who, claim(1_000)) {
            return sample;
        }
    }
    panic!("the draw never falls on one");
}

/// Whether any of ten thousand would be believed, of a worker that has shown a thousand.
fn is_believed(trusted: &Trusted, who: &Arc<WorkerName>) -> bool {
    for _ in 0..10_000 {
        match trusted.ask(who, claim(1_000)) {
            Asked::Believe => return true,
            Asked::Sample(sample) => sample.settle(),
            Asked::Verify => {}
        }
    }
    false
}

#[test]
fn without_a_rule_nothing_is_believed_and_nothing_kept() {
    let trusted = Trusted::new(None);
    let who = worker("a", "rig");
    show(&trusted, &who, 1_000);
    trusted.doubt(&worker("b", "rig"));
    assert!(!is_believed(&trusted, &who));
    assert_eq!((trusted.believed(), trusted.accounts().records), (0, 0));
}

#[test]
fn a_worker_is_believed_by_what_it_has_shown_itself_on_whichever_connection() {
    let trusted = trusted(10, 1);
    let (who, other) = (worker("a", "rig"), worker("a", "other"));
    show(&trusted, &who, 10);
    assert!(!is_believed(&trusted, &who));
    show(&trusted, &worker("a", "rig"), 990);
    assert!(is_believed(&trusted, &who));
    assert!(trusted.believed() > 0);
    assert!(!is_believed(&trusted, &other));
    assert!(!is_believed(&trusted, &worker("b", "rig")));
}

#[test]
fn what_could_be_a_block_or_claims_more_than_before_is_verified() {
    let trusted = trusted(10, 1);
    let who = worker("a", "rig");
    show(&trusted, &who, 1_000);
    let block = Claim {
        is_candidate: true,
        ..claim(1_000)
    };
    for _ in 0..10_000 {
        assert!(matches!(trusted.ask(&who, block), Asked::Verify));
        assert!(matches!(trusted.ask(&who, claim(2_001)), Asked::Verify));
    }
}

#[test]
fn nothing_of_an_account_is_believed_while_a_sample_of_it_waits() {
    let trusted = trusted(10, 100);
    let (one, two) = (worker("a", "one"), worker("a", "two"));
    let neighbour = worker("b", "one");
    for who in [&one, &two, &neighbour] {
        show(&trusted, who, 1_000);
    }
    let waiting = sample(&trusted, &one);
    assert!(!is_believed(&trusted, &one) && !is_believed(&trusted, &two));
    assert!(is_believed(&trusted, &neighbour));
    waiting.settle();
    assert!(is_believed(&trusted, &one) && is_believed(&trusted, &two));
}

#[test]
fn a_sample_that_is_lost_costs_its_worker_what_it_had_shown() {
    let trusted = trusted(10, 100);
    let (one, two) = (worker("a", "one"), worker("a", "two"));
    show(&trusted, &one, 1_000);
    show(&trusted, &two, 1_000);
    drop(sample(&trusted, &one));
    assert!(!is_believed(&trusted, &one));
    assert!(is_believed(&trusted, &two));
    show(&trusted, &one, 1_000);
    assert!(is_believed(&trusted, &one));
}

#[test]
fn the_first_lie_ends_the_trust_in_all_workers_of_the_account_for_good() {
    let trusted = trusted(10, 100);
    let (one, two) = (worker("a", "one"), worker("a", "two"));
    let neighbour = worker("b", "one");
    for who in [&one, &two, &neighbour] {
        show(&trusted, who, 1_000);
    }
    let caught = sample(&trusted, &one);
    trusted.doubt(&one);
    drop(caught);
    // Of a worker that has shown nothing, too.
    trusted.doubt(&worker("c", "new"));
    for who in [one, two, worker("a", "three"), worker("c", "other")] {
        show(&trusted, &who, 1_000);
        assert!(!is_believed(&trusted, &who), "{who}");
    }
    assert!(is_believed(&trusted, &neighbour));
    assert_eq!(trusted.accounts().records, 2 + 2);
}

/// Each sends all its lies before the first verdict. A hundred parts of what two parts in `after` are come
/// out as eighty: four lies of twice the usual work before the one that the draw falls on, of one in five.
#[test]
fn liars_win_less_than_two_parts_in_after_of_what_they_have_shown_however_fast_they_lie() {
    const AFTER: u32 = 10;
    const SHOWN: u32 = 5 * AFTER;
    const LIARS: u32 = 2_000;
    let trusted = trusted(AFTER, 1);
    let (mut won, mut caught) = (0_u32, 0_u32);
    for liar in 0..LIARS {
        let who = worker(&format!("liar{liar}"), "rig");
        show(&trusted, &who, SHOWN);
        let lies: Vec<_> = (0..200).map(|_| trusted.ask(&who, claim(2_000))).collect();
        for lie in &lies {
            match lie {
                Asked::Believe => won += 2,
                Asked::Sample(_) => caught += 1,
                Asked::Verify => {}
            }
        }
        if lies.iter().any(|lie| !matches!(lie, Asked::Believe)) {
            trusted.doubt(&who);
        }
    }
    assert_eq!(caught, LIARS);
    assert!(won < 2 * SHOWN * LIARS / AFTER, "{won}");
    assert!(won > SHOWN * LIARS / AFTER, "{won}");
}

#[test]
fn the_account_that_was_heard_longest_ago_makes_room_but_for_one_whose_sample_waits() {
    let rule = Sampling::new(10, 100).unwrap();
    let trusted = Trusted::with_room(Some(rule), 8);
    let names = ["a", "b", "c", "d"].map(|address| worker(address, "rig"));
    for who in &names {
        show(&trusted, who, 1_000);
    }
    assert_eq!(trusted.accounts().records, 8);
    let [a, b, c, d] = &names;
    let waiting = sample(&trusted, a);
    assert!(is_believed(&trusted, d) && is_believed(&trusted, c) && is_believed(&trusted, b));
    assert!(!is_believed(&trusted, a));
    // D is the one that was heard longest ago, but for A's sample.
    let new = worker("e", "rig");
    show(&trusted, &new, 1_000);
    waiting.settle();
    assert!(is_believed(&trusted, &new) && is_believed(&trusted, a));
    assert!(!is_believed(&trusted, d));
    assert!(is_believed(&trusted, b) && is_believed(&trusted, c));
    // One account with all its workers takes no more than all of it.
    for number in 0..100 {
        show(&trusted, &worker("many", &number.to_string()), 1);
        trusted.doubt(&worker(&format!("liar{number}"), "rig"));
        assert!(trusted.accounts().records <= 8);
    }
    let accounts = trusted.accounts();
    let counted = accounts.by_address.values().map(|it| 1 + it.workers.len());
    assert_eq!(counted.sum::<usize>(), accounts.records);
}
