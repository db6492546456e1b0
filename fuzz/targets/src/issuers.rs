//! The file of issuers, with the key sets that it names.

use redis_session_core::token::{Algorithm, Issuers, IssuersError, KeyRing};

use redis_session_core::token::IssuerKeys;

use crate::tree::{Tree, member, strict_object};

const MEMBERS: [&str; 5] = ["iss", "jwks", "aud", "typ", "algs"];

/// An entry as its definition has it.
struct Entry {
    iss: Option<String>,
    jwks: String,
    audiences: Vec<String>,
    typ: Option<String>,
    algorithms: Vec<Algorithm>,
    keys: KeyRing,
}

/// A file is taken exactly if its definition says so, with all that it says, and opens no file outside its folder.
///
/// The bytes: the file, and up to four key sets, with 0xFF between them.
pub fn issuers(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0xFF);
    let (file, sets) = (parts.next().unwrap_or_default(), parts.take(4).collect::<Vec<_>>());
    let read = |path: &str| {
        assert!(is_inside(path), "{path:?} may lead outside");
        set_at(&sets, path).map(<[u8]>::to_vec).ok_or("there is no such file")
    };
    let (taken, defined) = (Issuers::read(file, read), entries(file, &sets));
    assert_eq!(taken.is_ok(), defined.is_some(), "{:?}", taken.err());
    match (taken, defined) {
        (Ok(taken), Some(defined)) => {
            assert_eq!((taken.iter().len(), taken.is_empty()), (defined.len(), defined.is_empty()));
            defined.iter().for_each(|entry| assert_is(&taken, entry));
            assert!(
                taken.get(Some("nobody's")).is_none()
                    || defined.iter().any(|entry| entry.iss.as_deref() == Some("nobody's"))
            );
        }
        (Err(why), _) => {
            let said = why.to_string();
            assert!(!said.is_empty() && !said.contains('\n'), "{said:?}");
            if let IssuersError::Json { line, .. } | IssuersError::DuplicateMember { line, .. } = why {
                assert!(line <= file.iter().filter(|byte| **byte == b'\n').count() + 1);
            }
        }
        (Ok(_), None) => {}
    }
}

fn assert_is(taken: &Issuers, entry: &Entry) {
    let issuer = taken.get(entry.iss.as_deref()).expect("the entry");
    assert_eq!((issuer.iss(), issuer.jwks()), (entry.iss.as_deref(), &*entry.jwks));
    assert_eq!((issuer.audiences(), issuer.token_type()), (&*entry.audiences, entry.typ.as_deref()));
    let names =
        |ring: &KeyRing| ring.keys().map(|key| (key.kid().map(str::to_owned), key.algorithm())).collect::<Vec<_>>();
    assert_eq!(names(issuer.keys()), names(&entry.keys));
    assert_eq!(issuer.keys().ignored().len(), entry.keys.ignored().len());
    assert!(issuer.keys().signing_key().is_none(), "nobody's keys but ours sign");
    assert!(entry.iss.is_none() || !issuer.keys().has_secrets(), "an issuer has no secrets");
    let allowed = |key: &Algorithm| entry.algorithms.is_empty() || entry.algorithms.contains(key);
    assert!(issuer.keys().keys().all(|key| allowed(&key.algorithm())));
    assert_eq!(
        taken.has_secrets_in(&entry.jwks),
        taken.iter().any(|other| other.jwks() == entry.jwks && other.keys().has_secrets())
    );
}

/// The key set at this path.
fn set_at<'s>(sets: &[&'s [u8]], path: &str) -> Option<&'s [u8]> {
    sets.get(path.bytes().map(usize::from).sum::<usize>() % 5).copied()
}

fn entries(file: &[u8], sets: &[&[u8]]) -> Option<Vec<Entry>> {
    let members = strict_object(file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file))?;
    let [(name, Tree::List(items))] = &members[..] else { return None };
    if name != "issuers" {
        return None;
    }
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let Tree::Object(members) = item else { return None };
        let entry = entry(members, sets)?;
        if entries.iter().any(|other| other.iss == entry.iss) {
            return None;
        }
        entries.push(entry);
    }
    Some(entries)
}

fn entry(members: &[(String, Tree)], sets: &[&[u8]]) -> Option<Entry> {
    if !members.iter().all(|(name, _)| MEMBERS.contains(&&**name)) {
        return None;
    }
    let iss = match member(members, "iss")? {
        Tree::Null => None,
        iss => Some(some(iss)?),
    };
    let jwks = some(member(members, "jwks")?).filter(|path| is_inside(path))?;
    let typ = match member(members, "typ") {
        None => None,
        Some(typ) => Some(some(typ)?),
    };
    let audiences = texts(members, "aud")?;
    let algorithms: Option<Vec<_>> = texts(members, "algs")?.iter().map(|name| Algorithm::from_name(name)).collect();
    let algorithms = algorithms?;
    let rules = IssuerKeys { algorithms: Some(&*algorithms).filter(|some| !some.is_empty()), secrets: iss.is_none() };
    let keys = KeyRing::of_issuer(set_at(sets, &jwks)?, rules).ok()?;
    Some(Entry { iss, jwks, audiences, typ, algorithms, keys })
}

/// A text that is not empty.
fn some(value: &Tree) -> Option<String> {
    value.as_text().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Texts, at least one and each once; none if they are not there.
fn texts(members: &[(String, Tree)], name: &str) -> Option<Vec<String>> {
    let texts: Vec<String> = match member(members, name) {
        None => return Some(Vec::new()),
        Some(Tree::List(items)) => items.iter().map(some).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let different: std::collections::HashSet<_> = texts.iter().collect();
    (!texts.is_empty() && different.len() == texts.len()).then_some(texts)
}

/// Whether a path can lead to nothing but a file in the folder, as text.
fn is_inside(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    !path.chars().any(char::is_control)
        && parts.first().is_some_and(|first| !first.is_empty() && *first != ".")
        && parts.last().is_some_and(|last| !last.is_empty())
        && !parts.contains(&"..")
}
