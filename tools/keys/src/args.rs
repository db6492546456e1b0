//! What the program is asked to do.

use std::ffi::OsString;
use std::path::PathBuf;

use redis_session_core::token::Algorithm;

pub(crate) const USAGE: &str = "\
usage: redis-session-keys new --alg ALG [--kid KID] [FILE]
       redis-session-keys rotate [--alg ALG] [--kid KID] FILE
       redis-session-keys public FILE
       redis-session-keys check [--issuers] FILE
       redis-session-keys import [--secret] [--alg ALG] [--kid KID] [--from SOURCE] FILE

new     makes a key file with one key, or writes it to standard output
rotate  adds a key of the algorithm that signs now, and says what to do next
public  writes the JWK Set to publish, by which others check JWTs: for /.well-known/jwks.json
check   says what a server would use of a file, and what it would leave out and why; with --issuers,
        of the file of other issuers and the key sets that it names
import  adds a key in PEM (PKCS #8, SEC 1, PKCS #1, a public key), or with --secret one in plain bytes,
        from the file SOURCE or standard input

ALG is EdDSA, ES256 or RS256 (others check tokens by the public half), or HS256, HS384 or HS512 (a secret).";

#[derive(Debug)]
pub(crate) enum Command {
    Help,
    New { algorithm: Algorithm, kid: Option<String>, file: Option<PathBuf> },
    Rotate { algorithm: Option<Algorithm>, kid: Option<String>, file: PathBuf },
    Public { file: PathBuf },
    Check { file: PathBuf },
    CheckIssuers { file: PathBuf },
    Import(Import),
}

/// A key to take from elsewhere. It is never an argument: every user of a machine can read those.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) is_secret: bool,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kid: Option<String>,
    /// Standard input, if there is none.
    pub(crate) from: Option<PathBuf>,
    pub(crate) file: PathBuf,
}

/// What follows a command.
#[derive(Default)]
struct Given {
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    from: Option<PathBuf>,
    is_secret: bool,
    is_of_issuers: bool,
    files: Vec<PathBuf>,
}

pub(crate) fn read(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let command = args.next().ok_or("a command is missing")?;
    let command = command.to_str().ok_or("a command is missing")?;
    let allowed: &[&str] = match command {
        "new" | "rotate" => &["--alg", "--kid"],
        "public" => &[],
        "check" => &["--issuers"],
        "import" => &["--alg", "--kid", "--from", "--secret"],
        "help" | "--help" | "-h" => return Ok(Command::Help),
        other => return Err(format!("{other:?} is no command")),
    };
    let given = given(args, allowed)?;
    let mut files = given.files.into_iter();
    let (file, more) = (files.next(), files.next());
    if more.is_some() {
        return Err(format!("{command} takes one file"));
    }
    let needed = |file: Option<PathBuf>| file.ok_or_else(|| format!("{command} needs a file"));
    let Given { algorithm, kid, from, is_secret, is_of_issuers, .. } = Given { files: Vec::new(), ..given };
    Ok(match command {
        "new" => Command::New { algorithm: algorithm.ok_or("new needs --alg ALG")?, kid, file },
        "rotate" => Command::Rotate { algorithm, kid, file: needed(file)? },
        "public" => Command::Public { file: needed(file)? },
        "check" if is_of_issuers => Command::CheckIssuers { file: needed(file)? },
        "check" => Command::Check { file: needed(file)? },
        _ => Command::Import(Import { is_secret, algorithm, kid, from, file: needed(file)? }),
    })
}

fn given(mut args: impl Iterator<Item = OsString>, allowed: &[&str]) -> Result<Given, String> {
    let mut given = Given::default();
    while let Some(arg) = args.next() {
        let option = arg.to_str().filter(|text| text.starts_with("--"));
        let Some(option) = option else {
            given.files.push(arg.into());
            continue;
        };
        if !allowed.contains(&option) {
            return Err(format!("{option} is not an option here"));
        }
        match option {
            "--secret" => {
                given.is_secret = true;
                continue;
            }
            "--issuers" => {
                given.is_of_issuers = true;
                continue;
            }
            _ => {}
        }
        let value = args.next().ok_or_else(|| format!("{option} needs a value"))?;
        if option == "--from" {
            given.from = Some(value.into()).filter(|path: &PathBuf| path.as_os_str() != "-");
            continue;
        }
        let value = value.into_string().map_err(|_| format!("{option} needs a text"))?;
        match option {
            "--alg" => {
                let algorithm = Algorithm::from_name(&value);
                given.algorithm =
                    Some(algorithm.ok_or_else(|| format!("{value:?} is no algorithm that is supported"))?);
            }
            _ => given.kid = Some(value),
        }
    }
    Ok(given)
}
