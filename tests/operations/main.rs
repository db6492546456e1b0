//! What operators rely on: settings, access control, introspection, and that the documents tell the truth.

mod access;
mod audit;
mod commands;
mod deployment;
mod events;
mod introspection;
mod key_files;
mod loading;
mod memory;
mod module_file;
mod monitoring;
mod redis_conf;
mod settings;
mod stats;
