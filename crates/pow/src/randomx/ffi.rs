//! The C interface of RandomX, as its header `randomx.h` says it. The crate `randomx-rs` brings the
//! library and builds it; its own types are not used, for they cannot be shared by threads, and fill a
//! dataset with one thread only.
//!
//! Functions may throw when memory is short. They are declared so that this ends the process, which
//! is what memory that is short does anyway.

use std::ffi::{c_uint, c_ulong, c_void};

// Only linked.
use randomx_rs as _;

/// Memory in large pages.
pub(super) const LARGE_PAGES: c_uint = 1;
/// AES by the processor.
pub(super) const HARD_AES: c_uint = 2;
/// A virtual machine of a dataset.
pub(super) const FULL_MEM: c_uint = 4;
/// Programs are compiled.
pub(super) const JIT: c_uint = 8;
/// No page can be written and executed at a time.
pub(super) const SECURE: c_uint = 16;

/// Opaque.
#[repr(C)]
pub(super) struct RawCache {
    _opaque: [u8; 0],
}

/// Opaque.
#[repr(C)]
pub(super) struct RawDataset {
    _opaque: [u8; 0],
}

/// Opaque.
#[repr(C)]
pub(super) struct RawVm {
    _opaque: [u8; 0],
}

unsafe extern "C-unwind" {
    pub(super) fn randomx_get_flags() -> c_uint;

    pub(super) fn randomx_alloc_cache(flags: c_uint) -> *mut RawCache;
    pub(super) fn randomx_init_cache(cache: *mut RawCache, key: *const c_void, key_size: usize);
    pub(super) fn randomx_release_cache(cache: *mut RawCache);

    pub(super) fn randomx_alloc_dataset(flags: c_uint) -> *mut RawDataset;
    pub(super) fn randomx_dataset_item_count() -> c_ulong;
    pub(super) fn randomx_init_dataset(
        dataset: *mut RawDataset,
        cache: *mut RawCache,
        start_item: c_ulong,
        item_count: c_ulong,
    );
    pub(super) fn randomx_get_dataset_memory(dataset: *mut RawDataset) -> *mut c_void;
    pub(super) fn randomx_release_dataset(dataset: *mut RawDataset);

    pub(super) fn randomx_create_vm(
        flags: c_uint,
        cache: *mut RawCache,
        dataset: *mut RawDataset,
    ) -> *mut RawVm;
    pub(super) fn randomx_vm_set_cache(vm: *mut RawVm, cache: *mut RawCache);
    pub(super) fn randomx_vm_set_dataset(vm: *mut RawVm, dataset: *mut RawDataset);
    pub(super) fn randomx_destroy_vm(vm: *mut RawVm);

    pub(super) fn randomx_calculate_hash(
        vm: *mut RawVm,
        input: *const c_void,
        input_size: usize,
        output: *mut c_void,
    );
    pub(super) fn randomx_calculate_commitment(
        input: *const c_void,
        input_size: usize,
        hash: *const c_void,
        commitment: *mut c_void,
    );
}
