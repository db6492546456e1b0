//! The memory of AWS-LC, which verifies public-key signatures: the server's, as all of this module's.
//!
//! AWS-LC asks for these functions by name, and uses `malloc` and jemalloc's `sdallocx` where there are none. Those two
//! need not belong together: Valkey loads modules so that `malloc` is the C library's (`RTLD_DEEPBIND`), while
//! `sdallocx` is found in the server's jemalloc, and memory of the one is freed into the other.

use std::ffi::c_void;
use std::ptr::null_mut;

use redis_module::raw;

/// The size stands before what is handed out, in the room that keeps that aligned.
const PREFIX: usize = 16;

/// # Safety
/// May be called at any time.
#[unsafe(no_mangle)]
#[allow(non_snake_case)] // the name that AWS-LC looks for
unsafe extern "C" fn OPENSSL_memory_alloc(size: usize) -> *mut c_void {
    // SAFETY: reads a pointer that was set when the module API was initialized.
    let (Some(alloc), Some(whole)) = (unsafe { raw::RedisModule_Alloc }, size.checked_add(PREFIX)) else {
        return null_mut();
    };
    // SAFETY: the block is ours and has room for the prefix, and the server's allocations are aligned for any type.
    unsafe {
        let block = alloc(whole).cast::<u8>();
        if block.is_null() {
            return null_mut();
        }
        block.cast::<usize>().write(size);
        block.add(PREFIX).cast()
    }
}

/// Frees what [`OPENSSL_memory_alloc`] handed out, and clears it: it may have been a secret.
///
/// # Safety
/// `memory` must come from there, and not be used any more.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
unsafe extern "C" fn OPENSSL_memory_free(memory: *mut c_void) {
    // SAFETY: as the caller says, the prefix and as many bytes as it says are a block of ours.
    unsafe {
        let size = OPENSSL_memory_get_size(memory);
        let start = memory.cast::<u8>();
        for at in 0..size {
            start.add(at).write_volatile(0);
        }
        if let Some(free) = raw::RedisModule_Free {
            free(start.sub(PREFIX).cast());
        }
    }
}

/// # Safety
/// `memory` must come from [`OPENSSL_memory_alloc`].
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
unsafe extern "C" fn OPENSSL_memory_get_size(memory: *mut c_void) -> usize {
    // SAFETY: as the caller says, the prefix is there.
    unsafe { memory.cast::<u8>().sub(PREFIX).cast::<usize>().read() }
}

/// # Safety
/// `memory` must be null or come from [`OPENSSL_memory_alloc`], and is not to be used any more unless null is returned.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
unsafe extern "C" fn OPENSSL_memory_realloc(memory: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as the caller says; both blocks have as many bytes as are copied.
    unsafe {
        let moved = OPENSSL_memory_alloc(size);
        if !moved.is_null() && !memory.is_null() {
            let kept = OPENSSL_memory_get_size(memory).min(size);
            moved.cast::<u8>().copy_from_nonoverlapping(memory.cast(), kept);
            OPENSSL_memory_free(memory);
        }
        moved
    }
}
