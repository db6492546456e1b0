//! The key file.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use redis_session_core::token::{FileAccess, Issuers};
use serde_json::Value;

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
    source.take(FileAccess::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FileAccess::MAX_BYTES {
        return Err(format!("is longer than {} bytes", FileAccess::MAX_BYTES).into());
    }
    Ok(bytes)
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

/// Who may read and write it.
pub(crate) fn access(path: &Path) -> Result<FileAccess, Box<dyn Error>> {
    let file = fs::metadata(path)?;
    Ok(FileAccess { mode: file.mode(), is_roots: file.uid() == 0 })
}

/// The issuers of a file, as a server reads it and the key sets that it names.
pub(crate) fn issuers(path: &Path) -> Result<Issuers, Box<dyn Error>> {
    let json = read_regular(path)?;
    access(path)?.check(false)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut sets = Vec::new();
    let issuers = Issuers::read(&json, |set| {
        sets.push(set.to_owned());
        read_regular(&folder.join(set))
    })?;
    for set in sets {
        let checked = access(&folder.join(&set))?.check(issuers.has_secrets_in(&set));
        checked.map_err(|why| format!("{set}: {why}"))?;
    }
    Ok(issuers)
}

fn read_regular(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    if !fs::metadata(path)?.is_file() {
        return Err("is not a regular file".into());
    }
    read_all(File::open(path)?)
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
