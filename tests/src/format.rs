//! The format of what the module writes: that of this version, or that of the next one.

use std::fs;
use std::path::Path;

/// In the folder of a server of the next version. The module reads it, see `module/src/api/fault.rs`.
pub(crate) const FILE: &str = "test-format";

/// Makes the server that is to start in `folder` one of the next version.
pub(crate) fn make_later(folder: &Path) {
    fs::write(folder.join(FILE), "").expect("the mark of the next version");
}
