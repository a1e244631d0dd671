//! What can happen, in any order.

use proptest::prelude::*;

use super::{ACTIONS, WORKERS, reference::Way};

/// When the share that a block is comes to the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum ShareComes {
    WithBlock,
    Later,
    Never,
}

/// What goes wrong at a call of the node's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is not carried out.
    Refused,
    /// It is carried out, and nobody hears of it.
    AnswerLost,
    WalletLocked,
    TooLittle,
    /// The node does not take the transaction.
    NotTaken,
    UnknownAddress,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A batch of shares, each of a worker with so many hashes.
    Work(Way, Vec<(usize, u128)>),
    AddUp,
    Find(Way, usize, ShareComes),
    ShareComes,
    Grow(u32),
    /// The newest blocks, as many as that, are left for so many others.
    Leave(u32, u32),
    ComeBack,
    /// Leaves so many blocks, which is booked, and comes back to them.
    ThereAndBack(u32),
    /// What each second brings: a block, and each task looks once.
    Seconds(usize),
    Follow,
    Account {
        joins: bool,
    },
    Pay(usize),
    /// The process ends after so many waits of the task.
    EndInAccount(usize),
    EndInPay(usize, usize),
    Restart,
    /// The operator has another fee, in hundredths of a percent, and starts the pool again.
    Fee(u64),
    Fault(Fault, usize, u32),
    Mend,
    Steal(usize),
    /// An operator decides what is his to decide.
    Decide(usize),
    Hold(usize),
    Pause,
    Resume,
    Minute,
}

/// The calls that payouts make.
pub(super) const CALLS: [&str; 7] = [
    "createrawtransaction",
    "fundrawtransaction",
    "signrawtransactionwithwallet",
    "sendrawtransaction",
    "gettransaction",
    "listsinceblock",
    "lockunspent",
];

/// Waits after which a task is ended; a look that has something to do has some tens.
const WAITS: std::ops::Range<usize> = 1..50;

pub(super) fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), ACTIONS)
}

fn action() -> impl Strategy<Value = Action> {
    let worker = || 0..WORKERS.len();
    let work = prop::collection::vec((worker(), 1..7_u128), 1..4);
    let way = || prop_oneof![3 => Just(Way::Pplns), 2 => Just(Way::Prop), 1 => Just(Way::Solo)];
    let logged = prop_oneof![Just(Way::Pplns), Just(Way::Prop)];
    let comes = prop_oneof![
        4 => Just(ShareComes::WithBlock),
        2 => Just(ShareComes::Later),
        1 => Just(ShareComes::Never),
    ];
    let fault = prop_oneof![
        Just(Fault::Refused),
        Just(Fault::AnswerLost),
        Just(Fault::WalletLocked),
        Just(Fault::TooLittle),
        Just(Fault::NotTaken),
        Just(Fault::UnknownAddress),
    ];
    prop_oneof![
        6 => (logged, work).prop_map(|(way, shares)| Action::Work(way, shares)),
        2 => Just(Action::AddUp),
        9 => (way(), worker(), comes).prop_map(|(way, who, comes)| Action::Find(way, who, comes)),
        3 => Just(Action::ShareComes),
        2 => (1..5_u32).prop_map(Action::Grow),
        5 => (1..9_u32, 0..10_u32).prop_map(|(depth, others)| Action::Leave(depth, others)),
        2 => Just(Action::ComeBack),
        3 => (1..9_u32).prop_map(Action::ThereAndBack),
        14 => (1..4_usize).prop_map(Action::Seconds),
        2 => Just(Action::Follow),
        2 => any::<bool>().prop_map(|joins| Action::Account { joins }),
        3 => (0..2_usize).prop_map(Action::Pay),
        4 => WAITS.prop_map(Action::EndInAccount),
        8 => (0..2_usize, WAITS).prop_map(|(payer, waits)| Action::EndInPay(payer, waits)),
        1 => Just(Action::Restart),
        3 => prop_oneof![Just(0), Just(150), Just(333), Just(1_000)].prop_map(Action::Fee),
        4 => (fault, 0..CALLS.len(), 1..3_u32)
            .prop_map(|(fault, call, times)| Action::Fault(fault, call, times)),
        1 => Just(Action::Mend),
        7 => (0..4_usize).prop_map(Action::Steal),
        6 => (0..4_usize).prop_map(Action::Decide),
        4 => (0..4_usize).prop_map(Action::Hold),
        1 => Just(Action::Pause),
        2 => Just(Action::Resume),
        1 => Just(Action::Minute),
    ]
}
