//! Why a run ends before its work is done.

use std::io;
use std::path::{Path, PathBuf};

use redis_session::redis::RedisError;
use thiserror::Error;

/// Why a run ends before its work is done. What was moved until then stays moved.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The options are wrong.
    #[error("{0}")]
    Usage(String),
    /// Ctrl-C, or a request to end.
    #[error("stopped; the same command goes on from here")]
    Stopped,
    /// Something must be decided before anything is moved.
    #[error("nothing was moved: {0}")]
    Undecided(String),
    /// A server cannot be asked, or will not do what every key needs.
    #[error("{server}: {error}; the same command goes on from here")]
    Server {
        /// Which.
        server: String,
        /// What it, or the connection to it, says.
        error: RedisError,
    },
    /// A server is not one to move from or to.
    #[error("{server}: {why}")]
    Unfit {
        /// Which.
        server: String,
        /// What it lacks.
        why: String,
    },
    /// The folder is one of another migration, or its files cannot be read or written.
    #[error("{}: {why}", file.display())]
    Folder {
        /// The file or folder.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Failure {
    pub(crate) fn io(file: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Folder { file: file.to_owned(), why: error.to_string() }
    }

    /// The exit code for it.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Server { .. } | Self::Unfit { .. } | Self::Folder { .. } => 1,
            Self::Usage(_) => 2,
            Self::Undecided(_) => 4,
            // As of a program that the signal ends (128 + SIGINT).
            Self::Stopped => 130,
        }
    }
}
