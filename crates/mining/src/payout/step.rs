//! What to do next with a batch, from how far it has come and where its transaction stands. Called by
//! the task `payout` at each look, whatever happened to the process in between.
//!
//! A batch goes back only where its transaction can never confirm: nothing was signed, or another
//! transaction has one of its inputs for good. What nobody can tell is left to a person.

use super::BatchState;

/// Where the transaction of a batch stands, as far as a daemon says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// In a block, with so many confirmations; in none yet with zero.
    Confirmed(u32),
    /// Another one with one of its inputs is in a block, so deep.
    Conflicted(u32),
    /// Nothing is known of it.
    Unknown,
    /// It is not there, and something has its inputs; what, cannot be told.
    Unclear,
}

/// What is kept of a batch's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Nothing: nothing can have been signed.
    Nothing,
    /// A draft that somebody else signs, and may have.
    Draft,
    /// The signed bytes.
    Signed,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing now.
    Wait,
    /// Its bytes are sent, again if they were before.
    Send,
    /// It is paid.
    Confirm,
    /// The balances go back: nothing was ever signed.
    ReleaseUnsigned,
    /// The balances go back: another transaction with its inputs is so deep.
    ReleaseConflicted(u32),
    /// No other batch begins before this one is clear: another transaction with its inputs is so
    /// deep, and not deep enough.
    Hold(u32),
    /// A person has to look.
    Ask,
}

/// What to do with a batch in this state, of which this is kept and whose transaction stands there.
/// `depth` is the number of confirmations that counts as final.
pub fn next(state: BatchState, kept: Kept, standing: Standing, depth: u32) -> Step {
    match (state, kept) {
        (BatchState::Confirmed | BatchState::Released | BatchState::Manual, _)
        | (_, Kept::Draft) => Step::Wait,
        (_, Kept::Nothing) => Step::ReleaseUnsigned,
        (_, Kept::Signed) => match standing {
            Standing::Confirmed(now) if now >= depth => Step::Confirm,
            Standing::Conflicted(now) if now >= depth => Step::ReleaseConflicted(now),
            Standing::Conflicted(now) => Step::Hold(now),
            Standing::Unclear => Step::Ask,
            Standing::Unknown => Step::Send,
            // A daemon has it in its pool, or in a block: what was not noted yet is by sending.
            Standing::Confirmed(0) if state == BatchState::Signed => Step::Send,
            Standing::Confirmed(_) => Step::Wait,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BatchState::{Broadcast, Confirmed, Manual, Released, Reserved, Signed},
        Standing::{Conflicted, Unclear, Unknown},
        *,
    };

    #[test]
    fn what_is_next() {
        #[track_caller]
        fn case(state: BatchState, kept: Kept, standing: Standing, expected: Step) {
            assert_eq!(next(state, kept, standing, 6), expected);
        }
        let deep = Standing::Confirmed;
        case(Reserved, Kept::Nothing, Unknown, Step::ReleaseUnsigned);
        case(Reserved, Kept::Draft, Unknown, Step::Wait);
        case(Signed, Kept::Signed, Unknown, Step::Send);
        case(Signed, Kept::Signed, deep(0), Step::Send);
        case(Signed, Kept::Signed, deep(1), Step::Wait);
        case(Signed, Kept::Signed, deep(6), Step::Confirm);
        case(Broadcast, Kept::Signed, deep(0), Step::Wait);
        case(Broadcast, Kept::Signed, deep(5), Step::Wait);
        case(Broadcast, Kept::Signed, deep(6), Step::Confirm);
        case(Broadcast, Kept::Signed, Unknown, Step::Send);
        case(Broadcast, Kept::Signed, Unclear, Step::Ask);
        case(Signed, Kept::Signed, Conflicted(5), Step::Hold(5));
        let gone = Step::ReleaseConflicted(6);
        case(Signed, Kept::Signed, Conflicted(6), gone);
        case(Broadcast, Kept::Signed, Conflicted(6), gone);
        for state in [Confirmed, Released, Manual] {
            for standing in [Unknown, Unclear, deep(9), Conflicted(9)] {
                case(state, Kept::Signed, standing, Step::Wait);
            }
        }
    }
}
