//! Memory in huge pages, where the kernel joins pages on request. Nothing but speed depends on it.

#![allow(unsafe_code, reason = "the kernel is asked for huge pages")]

use std::ffi::c_void;

use rustix::mm::{self, Advice};

/// What `madvise` wants an address to be a multiple of: the largest base page in use.
const PAGE: usize = 64 << 10;

/// Words that are all zero, in huge pages where there are any; `last` is the number of the last one.
pub(crate) fn joined(last: u64) -> Box<[u64]> {
    let count = usize::try_from(last).expect("what is in memory has an index") + 1;
    let mut words = vec![0u64; count].into_boxed_slice();
    join(words.as_mut_ptr().cast(), size_of_val(&*words));
    words
}

/// Asks the kernel to use huge pages for memory that is about to be filled. It may refuse, or not know
/// them.
pub(crate) fn join(memory: *mut c_void, bytes: usize) {
    // To the next multiple.
    let ahead = memory.addr().wrapping_neg() % PAGE;
    let Some(bytes) = bytes.checked_sub(ahead) else {
        return;
    };
    let start = memory.wrapping_byte_add(ahead);
    // SAFETY: this advice changes no content and no protection of any page, whoever's it is; a range
    // that is not mapped is refused.
    let _ = unsafe { mm::madvise(start, bytes - bytes % PAGE, Advice::LinuxHugepage) };
}
