//! The calls into the server: everything `unsafe` is here, in types that are safe to use.
//!
//! It uses nothing else of the module: no command, setting, counter or state. The module passes in types with the
//! traits [`Handler`], [`Value`], [`Values`] and [`Module`].

mod arg;
mod args;
mod background;
mod call;
mod failure;
#[cfg(feature = "fault-injection")]
pub(crate) mod fault;
mod forks;
mod guard;
mod key;
mod loading;
mod memory;
mod options;
mod register;
mod reply;
mod server;
mod settings;
mod spec;
mod stream;
mod value;

pub(crate) use arg::Arg;
pub(crate) use args::Args;
pub(crate) use background::{Cursor, Module, Tick, register_info, start_ticking};
pub(crate) use call::Call;
pub(crate) use failure::Failure;
pub(crate) use forks::{take_fork, watch_forks};
pub(crate) use guard::{Handler, guarded};
pub(crate) use key::{KeyForReading, KeyForWriting};
pub(crate) use loading::{Loading, watch_loading};
pub(crate) use options::declare_options;
pub(crate) use register::{add_category, register, require_api};
pub(crate) use reply::Reply;
pub(crate) use server::{clock, log_notice, log_warning, processor_time, publish};
pub(crate) use settings::{Setting, SettingKind, Values, names, register_settings};
pub(crate) use spec::{Argument, Entry, Form, KeyUse, Spec};
pub(crate) use value::{Numbers, Type, Value};
