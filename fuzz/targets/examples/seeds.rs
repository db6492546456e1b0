//! Writes real inputs of every target into a folder, for fuzzing to begin with:
//! `cargo run -p redis-session-fuzz-targets --example seeds FOLDER`.

use std::fs;
use std::path::Path;

use redis_session_fuzz_targets::{TARGETS, seeds};

fn main() {
    let folder = std::env::args().nth(1).expect("a folder to write to");
    for (target, _) in TARGETS {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder).expect("the folder");
        for (number, seed) in seeds(target).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).expect("the seed");
        }
    }
}
