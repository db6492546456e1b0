//! PyJWT, as a second library that checks tokens.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::skipped;

/// Python with PyJWT and what it needs, if they are here in the versions that `tests/tokens/pyjwt` names;
/// `scripts/client-libraries` installs them. Otherwise says that `what` is not tested.
pub fn pyjwt(what: &str) -> Option<Command> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let libraries = root.join(".cache/clients/pyjwt");
    let list = |path: &Path| fs::read_to_string(path.join("requirements.txt")).ok();
    let wanted = list(&root.join("tests/tokens/pyjwt")).expect("the list of libraries");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &libraries).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    let is_here = list(&libraries).is_some_and(|there| there == wanted)
        && python
            .args(["-c", "import jwt.algorithms as a; assert a.has_crypto"])
            .output()
            .is_ok_and(|out| out.status.success());
    if !is_here {
        skipped(&format!("{what}: PyJWT is not here; scripts/client-libraries installs it"));
        return None;
    }
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &libraries).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    Some(python)
}
