//! RandomX, Monero's proof of work: a seed makes a [`Cache`] of 256 MiB, and a [`Vm`] with that cache
//! hashes blobs of any length. A [`Dataset`] of 2 GiB, made from the cache, hashes some eight times
//! faster; the hashes are the same.
//!
//! Used by the pool's verifying threads and by the CPU worker's: each owns a `Vm`, and all of them share
//! a cache. Unlike the other algorithms this one has a state and can fail: memory may be short, and
//! the library knows `rx/0` only. Unsafe code stands here because the library is C++; it is behind
//! types that cannot be misused.

#![allow(unsafe_code, reason = "the library is C++")]

mod ffi;
mod memory;
mod variant;

use std::{
    ffi::{c_uint, c_ulong, c_void},
    fmt,
    num::NonZeroUsize,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

pub use self::{
    memory::{Ability, Jit, Pages},
    variant::{NotAVariant, Variant},
};
use crate::{Hash, pages};

/// The bytes of a cache.
pub const CACHE_BYTES: u64 = 256 << 20;
/// The bytes of a dataset: two gigabytes and a prime number's worth more.
pub const DATASET_BYTES: u64 = (2 << 30) + 33_554_368;
/// About the bytes of a virtual machine: its scratchpad, and its compiled program.
pub const VM_BYTES: u64 = (2 << 20) + (128 << 10);

/// Items of a dataset that a thread fills before it looks for more, or whether it is to stop: a tenth
/// of a second's work.
const ITEMS_AT_ONCE: u64 = 1 << 16;

/// What a cache is made from: the hash of a block some 64 to 2,111 blocks back, as its bytes stand in
/// a template.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(pub [u8; 32]);

/// Why there is no cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCache {
    /// The library cannot compute it, whatever the machine. It is never computed as something else.
    NotComputed(Variant),
    /// Memory is short.
    NoMemory(NoMemory),
}

/// The system has no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory {
    /// How many bytes were asked for at once.
    pub needed: u64,
}

/// Why there is no dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDataset {
    /// It was told to stop.
    Stopped,
    /// Memory is short.
    NoMemory(NoMemory),
}

/// What the virtual machines of one seed read: 256 MiB, filled once and never changed.
pub struct Cache {
    raw: NonNull<ffi::RawCache>,
    key: Box<[u8]>,
    ability: Ability,
    pages: Pages,
}

// SAFETY: a cache belongs to no thread: its memory comes from `malloc` or `mmap`, and its compiled code
// is in pages of the process. It is released once, by whoever drops it.
unsafe impl Send for Cache {}
// SAFETY: it is filled before it is shared. After that the library only reads it: virtual machines
// read its memory and copy its programs and its key, and filling a dataset runs its compiled code,
// which writes to the dataset alone. No method here writes to it.
unsafe impl Sync for Cache {}

impl Cache {
    /// Fills a cache for a key of at most 60 bytes, of which a coin's seed has 32. Takes half a second
    /// of one core. Large pages are tried where they are wished.
    pub fn new(variant: Variant, key: &[u8], pages: Pages) -> Result<Self, NoCache> {
        Self::with_ability(variant, key, pages, Ability::of_this_machine())
    }

    /// The same, in a way that the machine may do better than.
    pub fn with_ability(
        variant: Variant,
        key: &[u8],
        pages: Pages,
        ability: Ability,
    ) -> Result<Self, NoCache> {
        if !variant.is_computed() {
            return Err(NoCache::NotComputed(variant));
        }
        let (raw, pages) = allocate(pages, |large| {
            // SAFETY: the flags are a combination that the header allows; a null is looked for.
            unsafe { ffi::randomx_alloc_cache(ability.cache_flags() | large) }
        })
        .ok_or(NoCache::NoMemory(NoMemory {
            needed: CACHE_BYTES,
        }))?;
        let cache = Self {
            raw,
            key: key.into(),
            ability,
            pages,
        };
        if pages == Pages::Usual {
            cache.join_pages();
        }
        // SAFETY: the cache is allocated and nobody else has it; key and size belong together.
        unsafe { ffi::randomx_init_cache(raw.as_ptr(), key.as_ptr().cast(), key.len()) };
        Ok(cache)
    }

    /// What it was made from.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where its memory comes from.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// How its virtual machines hash.
    pub fn ability(&self) -> Ability {
        self.ability
    }

    /// Huge pages make hashing a third faster, and need no right where the kernel joins pages.
    fn join_pages(&self) {
        // SAFETY: a cache begins with a pointer to its memory. Should that ever change, it is still an
        // object larger than a pointer and initialised, so that reading a word of it is allowed, and
        // `pages::join` bears any address.
        let memory = unsafe { self.raw.as_ptr().cast::<*mut c_void>().read() };
        pages::join(memory, bytes_of(CACHE_BYTES));
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: it was allocated by the library and is released once. Each virtual machine with it
        // holds it by an `Arc`, and a dataset needs it only while it is filled.
        unsafe { ffi::randomx_release_cache(self.raw.as_ptr()) };
    }
}

/// What fast virtual machines of one seed read: 2,080 MiB, filled once and never changed.
pub struct Dataset {
    raw: NonNull<ffi::RawDataset>,
    key: Box<[u8]>,
    ability: Ability,
    pages: Pages,
}

// SAFETY: it belongs to no thread, as a cache does not.
unsafe impl Send for Dataset {}
// SAFETY: it is complete before it is shared, and after that it is only read.
unsafe impl Sync for Dataset {}

/// A dataset that threads fill, each its own items.
struct Filling<'a> {
    dataset: &'a Dataset,
    cache: &'a Cache,
    /// The first item that nobody has taken.
    next: AtomicU64,
    complete: AtomicU64,
    /// Where the same is told to others.
    filled: &'a AtomicU64,
    items: u64,
    stop: &'a AtomicBool,
}

impl Dataset {
    /// Fills a dataset with so many threads: some 40 seconds of one core in all. Once `stop` is true
    /// it ends within a tenth of a second or two.
    pub fn new(
        cache: &Cache,
        threads: NonZeroUsize,
        pages: Pages,
        stop: &AtomicBool,
    ) -> Result<Self, NoDataset> {
        Self::with_progress(cache, threads, pages, stop, &AtomicU64::new(0))
    }

    /// How many items there are to fill.
    pub fn items() -> u64 {
        // SAFETY: the function gives a constant.
        unsafe { ffi::randomx_dataset_item_count() }
    }

    /// The same, and `filled` grows by the items that are filled: [`Dataset::items`] in all.
    pub fn with_progress(
        cache: &Cache,
        threads: NonZeroUsize,
        pages: Pages,
        stop: &AtomicBool,
        filled: &AtomicU64,
    ) -> Result<Self, NoDataset> {
        let (raw, pages) = allocate(pages, |large| {
            // SAFETY: the flag is one that the header allows; a null is looked for.
            unsafe { ffi::randomx_alloc_dataset(large) }
        })
        .ok_or(NoDataset::NoMemory(NoMemory {
            needed: DATASET_BYTES,
        }))?;
        let dataset = Self {
            raw,
            key: cache.key.clone(),
            ability: cache.ability,
            pages,
        };
        if pages == Pages::Usual {
            // SAFETY: the dataset is allocated.
            let memory = unsafe { ffi::randomx_get_dataset_memory(raw.as_ptr()) };
            pages::join(memory, bytes_of(DATASET_BYTES));
        }
        let filling = Filling {
            dataset: &dataset,
            cache,
            next: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            filled,
            items: Self::items(),
            stop,
        };
        thread::scope(|scope| {
            for number in 1..threads.get() {
                let thread = thread::Builder::new().name(format!("dataset-{number}"));
                // What is not started is done by the others.
                let _ = thread.spawn_scoped(scope, || filling.fill());
            }
            filling.fill();
        });
        // The scope has joined all threads, so what they wrote is seen here.
        if filling.complete.load(Relaxed) < filling.items {
            return Err(NoDataset::Stopped);
        }
        Ok(dataset)
    }

    /// What it was made from.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where its memory comes from.
    pub fn pages(&self) -> Pages {
        self.pages
    }
}

impl Filling<'_> {
    /// Fills what no other thread has taken.
    fn fill(&self) {
        while !self.stop.load(Relaxed) {
            let start = self.next.fetch_add(ITEMS_AT_ONCE, Relaxed);
            let Some(left) = self.items.checked_sub(start).filter(|left| *left > 0) else {
                return;
            };
            let count = left.min(ITEMS_AT_ONCE);
            // SAFETY: the items lie in the dataset, for `start` is below its end and no more than what
            // is left is asked for. Each thread has other items, for the counter gives each number
            // once. Nobody reads the dataset: it is given away when all threads have ended, and only
            // if every item was filled. The cache is only read.
            unsafe {
                ffi::randomx_init_dataset(
                    self.dataset.raw.as_ptr(),
                    self.cache.raw.as_ptr(),
                    c_ulong::from(start),
                    c_ulong::from(count),
                );
            }
            self.complete.fetch_add(count, Relaxed);
            self.filled.fetch_add(count, Relaxed);
        }
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        // SAFETY: it was allocated by the library and is released once; each virtual machine with it
        // holds it by an `Arc`.
        unsafe { ffi::randomx_release_dataset(self.raw.as_ptr()) };
    }
}

/// What a virtual machine reads, and so which seed it hashes for and how fast.
#[derive(Clone)]
pub enum Memory {
    /// Some 30 hashes a second and core.
    Light(Arc<Cache>),
    /// Some 170 hashes a second and core.
    Fast(Arc<Dataset>),
}

impl Memory {
    /// What it was made from.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Light(cache) => cache.key(),
            Self::Fast(dataset) => dataset.key(),
        }
    }

    fn ability(&self) -> Ability {
        match self {
            Self::Light(cache) => cache.ability,
            Self::Fast(dataset) => dataset.ability,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Light(ours), Self::Light(other)) => Arc::ptr_eq(ours, other),
            (Self::Fast(ours), Self::Fast(other)) => Arc::ptr_eq(ours, other),
            _ => false,
        }
    }
}

/// A virtual machine: it hashes. One thread at a time has it; it can be given to another one.
pub struct Vm {
    raw: NonNull<ffi::RawVm>,
    /// Keeps alive what the machine reads.
    memory: Memory,
    pages: Pages,
}

// SAFETY: its scratchpad and its code are in memory of the process, and it keeps nothing in the thread
// that made it: the rounding mode of a thread is set and restored by each hash. It is not `Sync`, and
// what writes to it takes `&mut self`.
unsafe impl Send for Vm {}

impl Vm {
    /// A machine that reads `memory`.
    pub fn new(memory: Memory, pages: Pages) -> Result<Self, NoMemory> {
        let ability = memory.ability();
        let (flags, cache, dataset) = match &memory {
            Memory::Light(cache) => (0, cache.raw.as_ptr(), ptr::null_mut()),
            Memory::Fast(dataset) => (ffi::FULL_MEM, ptr::null_mut(), dataset.raw.as_ptr()),
        };
        let (raw, pages) = allocate(pages, |large| {
            // SAFETY: the flags are a combination that the header allows, a null is looked for. A light
            // machine has a filled cache and a fast one a complete dataset, and `memory` keeps it alive.
            unsafe { ffi::randomx_create_vm(ability.vm_flags() | flags | large, cache, dataset) }
        })
        .ok_or(NoMemory { needed: VM_BYTES })?;
        Ok(Self { raw, memory, pages })
    }

    /// What it reads.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Reads other memory from now on. Cheap between seeds; between light and fast the machine is
    /// made anew. After an error it is as before.
    pub fn switch(&mut self, memory: Memory) -> Result<(), NoMemory> {
        if self.memory.is_same(&memory) {
            return Ok(());
        }
        let is_alike = self.memory.ability() == memory.ability();
        match (&self.memory, &memory) {
            // SAFETY: the machine is a light one, the cache is filled. The library does nothing if key and
            // address are those it has; both caches are alive here, so two that differ have two addresses,
            // and nothing of the old one is read once it is let go below.
            (Memory::Light(_), Memory::Light(cache)) if is_alike => unsafe {
                ffi::randomx_vm_set_cache(self.raw.as_ptr(), cache.raw.as_ptr());
            },
            // SAFETY: the machine is a fast one, the dataset is complete.
            (Memory::Fast(_), Memory::Fast(dataset)) if is_alike => unsafe {
                ffi::randomx_vm_set_dataset(self.raw.as_ptr(), dataset.raw.as_ptr());
            },
            _ => {
                *self = Self::new(memory, self.pages)?;
                return Ok(());
            }
        }
        self.memory = memory;
        Ok(())
    }

    /// The RandomX hash of a blob: what meets the target, and for variants with commitments what the
    /// [`commitment`] is made from.
    pub fn hash(&mut self, blob: &[u8]) -> Hash {
        let mut hash = Hash::default();
        // SAFETY: input and size belong together, the output has the 32 bytes of a hash, and nobody
        // else uses the machine meanwhile. What it reads is alive and does not change.
        unsafe {
            ffi::randomx_calculate_hash(
                self.raw.as_ptr(),
                blob.as_ptr().cast(),
                blob.len(),
                hash.0.as_mut_ptr().cast(),
            );
        }
        hash
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: it was made by the library and is released once, before what it reads.
        unsafe { ffi::randomx_destroy_vm(self.raw.as_ptr()) };
    }
}

/// The commitment to a blob and its RandomX hash: their BLAKE2b hash of 32 bytes. In `rx/2` it is the
/// commitment that meets the target. On the wire the names are the other way round: `result` is this,
/// and `commitment` is the RandomX hash. It costs a hundred thousandth of a RandomX hash, so a share
/// whose result is not this one's is refused at once.
pub fn commitment(blob: &[u8], hash: &Hash) -> Hash {
    let mut commitment = Hash::default();
    // SAFETY: input and size belong together; hash and output have 32 bytes each.
    unsafe {
        ffi::randomx_calculate_commitment(
            blob.as_ptr().cast(),
            blob.len(),
            hash.0.as_ptr().cast(),
            commitment.0.as_mut_ptr().cast(),
        );
    }
    commitment
}

/// Allocates with large pages where they are wished and there, and with usual ones otherwise.
fn allocate<T>(wished: Pages, by: impl Fn(c_uint) -> *mut T) -> Option<(NonNull<T>, Pages)> {
    if wished == Pages::Large
        && let Some(raw) = NonNull::new(by(ffi::LARGE_PAGES))
    {
        return Some((raw, Pages::Large));
    }
    NonNull::new(by(0)).map(|raw| (raw, Pages::Usual))
}

/// A size in memory; one that no address can have is no size of anything that was allocated.
fn bytes_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

impl fmt::Display for Seed {
    /// In the order of its bytes, as daemons and miners write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({self})")
    }
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = self.needed.div_ceil(1 << 20);
        write!(
            f,
            "{needed} MiB of memory are needed for RandomX, and are not there"
        )
    }
}

impl std::error::Error for NoMemory {}

impl fmt::Display for NoCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotComputed(variant) => {
                write!(
                    f,
                    "{variant} is known, but this version of adit cannot compute it"
                )
            }
            Self::NoMemory(short) => short.fmt(f),
        }
    }
}

impl std::error::Error for NoCache {}

impl fmt::Display for NoDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped before the dataset was complete"),
            Self::NoMemory(short) => short.fmt(f),
        }
    }
}

impl std::error::Error for NoDataset {}

#[cfg(test)]
mod tests;
