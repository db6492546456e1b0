//! The key file.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The longest file that a server reads.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// What is in a file, if it is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
    match File::open(path) {
        Ok(file) => read_all(file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound && path.parent().is_none_or(is_folder) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All there is to read, if it is no more than a server reads.
pub(crate) fn read_all(source: impl Read) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes").into());
    }
    Ok(bytes)
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

/// Whether others than the file's owner may read or write it.
pub(crate) fn others_may(path: &Path) -> Result<bool, Box<dyn Error>> {
    Ok(fs::metadata(path)?.mode() & 0o077 != 0)
}

/// The set with each key on a line of its own, so that any but the last can be taken out by taking out its line.
pub(crate) fn set_text(set: &Value) -> Result<String, Box<dyn Error>> {
    let members = set.as_object().ok_or("is not a JWK Set")?;
    let mut lines = Vec::new();
    for (name, value) in members {
        let value = match value {
            Value::Array(keys) if name == "keys" => {
                let keys: Vec<String> = keys.iter().map(Value::to_string).collect();
                format!("[\n{}\n]", keys.join(",\n"))
            }
            other => other.to_string(),
        };
        lines.push(format!("{}:{value}", Value::from(name.as_str())));
    }
    Ok(format!("{{{}}}\n", lines.join(",\n")))
}

/// Puts a new file in the place of the old one in one step, readable for its owner alone; the answer is its full path.
pub(crate) fn replace(file: &Path, content: &[u8]) -> Result<PathBuf, Box<dyn Error>> {
    let old = fs::canonicalize(file).ok();
    let (file, owner) = match &old {
        Some(path) => (path.clone(), Some(fs::metadata(path)?)),
        None => (std::path::absolute(file)?, None),
    };
    let name = file.file_name().ok_or("is not a file's name")?.to_string_lossy().into_owned();
    let new = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| -> Result<(), Box<dyn Error>> {
        let mut out = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        out.set_permissions(Permissions::from_mode(0o600))?;
        if let Some(owner) = owner {
            let ours = out.metadata()?;
            if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
                std::os::unix::fs::fchown(&out, Some(owner.uid()), Some(owner.gid()))
                    .map_err(|error| format!("cannot be given back to its owner: {error}"))?;
            }
        }
        out.write_all(content)?;
        out.sync_all()?;
        Ok(fs::rename(&new, &file)?)
    })();
    if let Err(why) = written {
        let _ = fs::remove_file(&new);
        return Err(why);
    }
    Ok(file)
}
