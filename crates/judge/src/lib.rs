//! Bitcoin Core's own consensus library as the judge of this workspace: of the blocks that `mining`
//! builds (`tests/pool_blocks.rs`) and of the verdicts that `simnet` gives (`tests/simnet_agrees.rs`).
//!
//! There are only tests here. They stand in a crate of their own because the library is C++ and
//! takes minutes to compile.
