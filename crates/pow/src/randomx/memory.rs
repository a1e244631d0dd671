//! What this machine lets RandomX do with memory: compile, take large pages. Asked once; no setting of
//! the operator is needed where the machine can tell.

use std::{ffi::c_uint, ptr, sync::OnceLock};

use rustix::mm::{self, MapFlags, MprotectFlags, ProtFlags};

use super::ffi;

/// The size of a mapping that is only tried: a multiple of every page size in use.
const TRIAL_BYTES: usize = 64 << 10;

/// How programs are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Jit {
    /// Interpreted, six times slower: the machine allows no code that was not in a file, or the
    /// library cannot compile for it.
    Off,
    /// Compiled into pages that are written first and executed then: some 4 % slower, and what
    /// hardened machines allow.
    Secure,
    /// Compiled into pages that are written and executed.
    On,
}

/// Where memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Large pages that the system has reserved, and where there are none left, usual ones.
    Large,
    /// Usual ones. The kernel is asked to join them where it does that (transparent huge pages).
    Usual,
}

/// How a machine hashes: never more than it can, or hashing would end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    jit: Jit,
    hard_aes: bool,
    /// Flags that choose how a cache is filled.
    argon2: c_uint,
}

impl Ability {
    /// All that this machine allows.
    pub fn of_this_machine() -> Self {
        static ABILITY: OnceLock<Ability> = OnceLock::new();
        *ABILITY.get_or_init(|| {
            // SAFETY: the function has no arguments; it asks the processor what it is.
            let flags = unsafe { ffi::randomx_get_flags() };
            let jit = if flags & ffi::JIT == 0 || !allows(MprotectFlags::READ | MprotectFlags::EXEC)
            {
                Jit::Off
            } else if flags & ffi::SECURE != 0
                || !allows(MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC)
            {
                Jit::Secure
            } else {
                Jit::On
            };
            Self {
                jit,
                hard_aes: flags & ffi::HARD_AES != 0,
                argon2: flags & !(ffi::JIT | ffi::SECURE | ffi::HARD_AES),
            }
        })
    }

    /// How programs are run.
    pub fn jit(self) -> Jit {
        self.jit
    }

    /// Whether the processor has AES, without which hashing is some 20 % slower.
    pub fn has_hard_aes(self) -> bool {
        self.hard_aes
    }

    /// The same, but with no more than this. The hashes are the same.
    pub fn with_at_most(self, jit: Jit) -> Self {
        let jit = self.jit.min(jit);
        Self { jit, ..self }
    }

    pub(super) fn cache_flags(self) -> c_uint {
        self.argon2 | if self.jit == Jit::Off { 0 } else { ffi::JIT }
    }

    pub(super) fn vm_flags(self) -> c_uint {
        let jit = match self.jit {
            Jit::On => ffi::JIT,
            Jit::Secure => ffi::JIT | ffi::SECURE,
            Jit::Off => 0,
        };
        jit | if self.hard_aes { ffi::HARD_AES } else { 0 }
    }
}

/// Whether memory that was writable may become this. The library does not look whether its own
/// request succeeded, and would run into pages that it must not execute.
fn allows(protection: MprotectFlags) -> bool {
    let read_write = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
    let mapped =
        unsafe { mm::mmap_anonymous(ptr::null_mut(), TRIAL_BYTES, read_write, MapFlags::PRIVATE) };
    let Ok(memory) = mapped else {
        return false;
    };
    // SAFETY: the mapping is ours, of this size, and nobody refers to it.
    let allowed = unsafe { mm::mprotect(memory, TRIAL_BYTES, protection) }.is_ok();
    // SAFETY: as before, and it is not used afterwards.
    let _ = unsafe { mm::munmap(memory, TRIAL_BYTES) };
    allowed
}
