//! What the module declares that it can do.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use redis_module::raw::ModuleOptions;
use redis_module::{Context, raw};

use super::server::OK;

/// Of Valkey 9 and newer, which otherwise refuse CLUSTER MIGRATESLOTS: slots may move as a stream of commands. A key
/// is all that there is of a user, and `aof_rewrite` writes it as such a command.
const HANDLE_ATOMIC_SLOT_MIGRATION: c_int = 1 << 5;

/// Declares the options. The server is one whose API [`super::require_api`] found complete.
pub(crate) fn declare_options(ctx: &Context) {
    let mut options = ModuleOptions::HANDLE_IO_ERRORS
        | ModuleOptions::HANDLE_REPL_ASYNC_LOAD
        | ModuleOptions::NO_IMPLICIT_SIGNAL_MODIFIED;
    if migrates_slots_at_once() {
        options |= ModuleOptions::from_bits_retain(HANDLE_ATOMIC_SLOT_MIGRATION);
    }
    ctx.set_module_options(options);
}

/// Whether the option means that here: another server may give the bit another meaning.
fn migrates_slots_at_once() -> bool {
    // SAFETY: both pointers were set when the module API was initialized; the name ends with NUL, and where the server
    // has no such function it leaves `function` alone.
    unsafe {
        let mut function: *mut c_void = null_mut();
        let place = (&raw mut function).cast::<c_void>();
        let is_valkey = raw::RedisModule_GetApi
            .is_some_and(|get_api| get_api(c"ValkeyModule_SetModuleOptions".as_ptr(), place) == OK);
        let known = raw::RedisModule_GetModuleOptionsAll.map_or(0, |all| all());
        is_valkey && known & HANDLE_ATOMIC_SLOT_MIGRATION != 0
    }
}
