//! One miner is owed one unit. Everything that can happen to its batch, in every order: the process
//! ends between any two steps, calls are refused, answers are lost with and without effect, a daemon
//! forgets or does not see a transaction, a block is undone, a stranger spends the inputs. In each state
//! that can be reached the unit is in one place, and at most one transaction can ever pay it.
//!
//! The wallet is as bad as one can be: each time it signs it takes other inputs, so that two
//! transactions it made would both confirm.

use std::collections::HashSet;

use super::{BatchState, Kept, Standing, Step, next};

/// Confirmations that count as final, in this small world.
const DEPTH: u8 = 3;
/// Times that the process ends, and other mishaps, in one history.
const CRASHES: u8 = 3;
const MISHAPS: u8 = 4;
/// Transactions that are made in one history at most.
const MADE_MAX: usize = 4;
/// Steps without mishaps after which all is paid.
const SETTLES_WITHIN: usize = 100;

/// A rule under test.
type Rule = fn(BatchState, Kept, Standing, u32) -> Step;

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Nowhere,
    Pool,
    Block(u8),
    /// Another transaction has its inputs, so deep.
    Beaten(u8),
}

/// A batch as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Batch {
    state: BatchState,
    transaction: Option<usize>,
}

/// What the process is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    Looking,
    Signing,
    Keeping(usize),
    Sending,
    Noting,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    /// The books: what is owed and not claimed, and what was paid.
    available: u8,
    paid: u8,
    /// The batch that was made last.
    batch: Option<Batch>,
    transactions: Vec<Place>,
    doing: Doing,
    crashes: u8,
    mishaps: u8,
}

impl World {
    fn new() -> Self {
        Self {
            available: 1,
            paid: 0,
            batch: None,
            transactions: Vec::new(),
            doing: Doing::Looking,
            crashes: CRASHES,
            mishaps: MISHAPS,
        }
    }

    fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        change(&mut world);
        world
    }

    fn mishap(&self, change: impl FnOnce(&mut Self)) -> Option<Self> {
        let left = self.mishaps.checked_sub(1)?;
        Some(self.but(|world| {
            world.mishaps = left;
            change(world);
        }))
    }

    fn open(&self) -> Option<Batch> {
        use BatchState::{Confirmed, Released};
        self.batch
            .filter(|batch| !matches!(batch.state, Confirmed | Released))
    }

    fn become_state(&mut self, state: BatchState) {
        let batch = self.batch.as_mut().expect("a batch is under way");
        assert!(batch.state.becomes(state), "{batch:?} to {state}");
        batch.state = state;
        match state {
            BatchState::Released => self.available += 1,
            BatchState::Confirmed => self.paid += 1,
            _ => {}
        }
        self.doing = Doing::Looking;
    }

    /// What the process does next, and everything that can go wrong with it.
    fn process(&self, rule: Rule) -> Vec<Self> {
        match (self.doing, self.open()) {
            (Doing::Looking, None) if self.available > 0 => vec![self.but(|world| {
                world.available -= 1;
                world.batch = Some(Batch {
                    state: BatchState::Reserved,
                    transaction: None,
                });
                world.doing = Doing::Signing;
            })],
            (Doing::Looking, None) => vec![],
            (Doing::Looking, Some(batch)) => self.look(batch, rule),
            (Doing::Signing, _) => self.sign(),
            (Doing::Keeping(transaction), _) => vec![self.but(|world| {
                world.become_state(BatchState::Signed);
                let batch = world.batch.as_mut().expect("it was just claimed");
                batch.transaction = Some(transaction);
                world.doing = Doing::Sending;
            })],
            (Doing::Sending, Some(batch)) => self.send(batch),
            (Doing::Noting, Some(batch)) if batch.state == BatchState::Signed => {
                vec![self.but(|world| world.become_state(BatchState::Broadcast))]
            }
            (Doing::Sending | Doing::Noting, _) => {
                vec![self.but(|world| world.doing = Doing::Looking)]
            }
        }
    }

    fn sign(&self) -> Vec<Self> {
        let refused = self.but(|world| world.become_state(BatchState::Released));
        if self.transactions.len() == MADE_MAX {
            return vec![];
        }
        let made = self.but(|world| {
            world.doing = Doing::Keeping(world.transactions.len());
            world.transactions.push(Place::Nowhere);
        });
        // The answer is lost: the wallet made one that nobody keeps.
        let lost = refused.mishap(|world| world.transactions.push(Place::Nowhere));
        let refused = refused.mishap(|_| {});
        [Some(made), lost, refused].into_iter().flatten().collect()
    }

    fn send(&self, batch: Batch) -> Vec<Self> {
        let at = batch.transaction.expect("what is sent was kept");
        let arrive = |world: &mut Self| {
            if world.transactions[at] == Place::Nowhere {
                world.transactions[at] = Place::Pool;
            }
        };
        let looking = |world: &mut Self| world.doing = Doing::Looking;
        if let Place::Beaten(_) = self.transactions[at] {
            return vec![self.but(looking)];
        }
        let sent = self.but(|world| {
            arrive(world);
            world.doing = Doing::Noting;
        });
        let lost_after = self.mishap(|world| {
            arrive(world);
            looking(world);
        });
        let lost_before = self.mishap(looking);
        [Some(sent), lost_after, lost_before]
            .into_iter()
            .flatten()
            .collect()
    }

    fn look(&self, batch: Batch, rule: Rule) -> Vec<Self> {
        let kept = batch.transaction.map_or(Kept::Nothing, |_| Kept::Signed);
        let seen = batch.transaction.map(|at| match self.transactions[at] {
            Place::Nowhere => Standing::Unknown,
            Place::Pool => Standing::Confirmed(0),
            Place::Block(depth) => Standing::Confirmed(depth.into()),
            Place::Beaten(depth) => Standing::Conflicted(depth.into()),
        });
        let act = |world: &mut Self, standing: Standing| match rule(
            batch.state,
            kept,
            standing,
            DEPTH.into(),
        ) {
            Step::Wait | Step::Hold(_) => {}
            Step::Send => world.doing = Doing::Sending,
            Step::Confirm => world.become_state(BatchState::Confirmed),
            Step::ReleaseUnsigned | Step::ReleaseConflicted(_) => {
                world.become_state(BatchState::Released);
            }
            Step::Ask => world.become_state(BatchState::Manual),
        };
        let truth = self.but(|world| act(world, seen.unwrap_or(Standing::Unknown)));
        // A daemon that was restored, or is another one, does not know it.
        let blind = self.mishap(|world| act(world, Standing::Unknown));
        [Some(truth), blind].into_iter().flatten().collect()
    }

    /// What the chain does by itself to one transaction.
    fn chain(&self, at: usize) -> Vec<Self> {
        let set = |place: Place| self.but(|world| world.transactions[at] = place);
        let mishap = |place: Place| self.mishap(|world| world.transactions[at] = place);
        match self.transactions[at] {
            // What nobody kept nobody can send, and what was not sent nobody mines.
            Place::Nowhere => mishap(Place::Beaten(1)).into_iter().collect(),
            Place::Pool => {
                let mined = Some(set(Place::Block(1)));
                let others = [mishap(Place::Nowhere), mishap(Place::Beaten(1))];
                mined
                    .into_iter()
                    .chain(others.into_iter().flatten())
                    .collect()
            }
            Place::Block(depth) if depth < DEPTH => {
                let deeper = Some(set(Place::Block(depth + 1)));
                let undone = mishap(Place::Pool);
                deeper.into_iter().chain(undone).collect()
            }
            Place::Beaten(depth) if depth < DEPTH => {
                let deeper = Some(set(Place::Beaten(depth + 1)));
                let undone = mishap(Place::Nowhere);
                deeper.into_iter().chain(undone).collect()
            }
            Place::Block(_) | Place::Beaten(_) => vec![],
        }
    }

    fn nexts(&self, rule: Rule) -> Vec<Self> {
        let mut nexts = self.process(rule);
        if let Some(left) = self.crashes.checked_sub(1) {
            nexts.push(self.but(|world| {
                world.crashes = left;
                world.doing = Doing::Looking;
            }));
        }
        nexts.extend((0..self.transactions.len()).flat_map(|at| self.chain(at)));
        nexts
    }

    /// What is wrong with this state.
    fn fault(&self) -> Option<&'static str> {
        let open = u8::from(self.open().is_some());
        if self.available + open + self.paid != 1 {
            return Some("the unit is not in one place");
        }
        let current = self.batch.and_then(|batch| batch.transaction);
        let paying = |place: &&Place| matches!(place, Place::Pool | Place::Block(_));
        if self.transactions.iter().filter(paying).count() > 1 {
            return Some("two transactions pay it");
        }
        let paid = current.is_some_and(|at| self.transactions[at] == Place::Block(DEPTH));
        if self.paid > 0 && !paid {
            return Some("the books say paid and the chain does not");
        }
        if self.available > 0 && self.transactions.iter().any(|place| paying(&place)) {
            return Some("it is owed again and paid on the chain");
        }
        None
    }

    /// Goes on without mishaps; whether it is paid in the end.
    fn settles(mut self, rule: Rule) -> bool {
        (self.crashes, self.mishaps) = (0, 0);
        for _ in 0..SETTLES_WITHIN {
            if self.paid == 1 {
                return true;
            }
            if let Some(next) = self.process(rule).into_iter().next() {
                self = next;
            }
            for at in 0..self.transactions.len() {
                if let Some(next) = self.chain(at).into_iter().next() {
                    self = next;
                }
            }
        }
        // No more transactions fit this world: they were all beaten.
        self.transactions.len() == MADE_MAX
    }
}

/// Reaches every state; gives their number, or what is wrong with one.
fn explore(rule: Rule) -> Result<usize, (&'static str, World)> {
    let mut seen = HashSet::new();
    let mut waiting = vec![World::new()];
    while let Some(world) = waiting.pop() {
        if seen.contains(&world) {
            continue;
        }
        if let Some(fault) = world.fault() {
            return Err((fault, world));
        }
        if !world.clone().settles(rule) {
            return Err(("it is never paid", world));
        }
        waiting.extend(world.nexts(rule));
        seen.insert(world);
    }
    Ok(seen.len())
}

#[test]
fn a76_every_order_of_crashes_and_mishaps_pays_once() {
    let states = explore(next).unwrap_or_else(|(fault, world)| panic!("{fault}: {world:#?}"));
    assert!(states > 25_000, "only {states} states were reached");
}

#[test]
fn rules_that_guess_are_found_out() {
    #[track_caller]
    fn case(rule: Rule, expected: &str) {
        match explore(rule) {
            Err((fault, _)) => assert_eq!(fault, expected),
            Ok(states) => panic!("{states} states and nothing wrong"),
        }
    }
    // Gives back what a daemon does not know.
    let forgets: Rule = |state, kept, standing, depth| match (kept, standing) {
        (Kept::Signed, Standing::Unknown) => Step::ReleaseUnsigned,
        _ => next(state, kept, standing, depth),
    };
    case(forgets, "it is owed again and paid on the chain");
    // Believes one confirmation.
    let hasty: Rule = |state, kept, standing, _| next(state, kept, standing, 1);
    case(hasty, "the books say paid and the chain does not");
    // Waits for what was never sent.
    let idle: Rule = |state, kept, standing, depth| match next(state, kept, standing, depth) {
        Step::Send => Step::Wait,
        step => step,
    };
    case(idle, "it is never paid");
}
