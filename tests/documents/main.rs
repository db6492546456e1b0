//! That the documents tell the truth: what they say of commands, settings and replies, against a real server.

mod applications;
mod as_app;
mod browser;
mod charts;
mod console;
mod described;
mod generated;
mod languages;
mod lossy;
mod markdown;
mod reference;
mod terminal;
