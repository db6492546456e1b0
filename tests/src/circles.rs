//! That modules of one folder do not depend on each other in a circle: one can be read after those that it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders, each for itself. What is in a folder within counts as that one's.
const FOLDERS: [&str; 10] = [
    "client/src",
    "core/src",
    "core/src/sessions",
    "core/src/token",
    "module/src",
    "module/src/ffi",
    "module/src/commands",
    "store/src",
    "tools/admin/src",
    "web/src",
];

/// Of each module, those that it names.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_modules_depend_on_each_other_in_a_circle() {
    for folder in FOLDERS {
        let graph = graph(folder);
        assert!(graph.values().flatten().count() > 3, "{folder}: {graph:?}");
        assert_eq!(circle(graph), None, "{folder}");
    }
}

#[test]
fn a_circle_is_named() {
    let graph = |edges: [(&str, &str); 5]| edges.map(|(from, to)| (from.into(), [to.into()].into())).into();
    assert_eq!(circle(graph([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")])), None);
    let found = circle(graph([("a", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("e", "f")]));
    assert_eq!(found.as_deref(), Some("b -> c -> d -> b"));
}

fn circle(mut graph: Graph) -> Option<String> {
    // Those that use no other, until there are none.
    let uses_none = |graph: &Graph| {
        graph
            .iter()
            .find(|(_, used)| used.iter().all(|module| !graph.contains_key(module)))
            .map(|(name, _)| name.clone())
    };
    while let Some(module) = uses_none(&graph) {
        graph.remove(&module);
    }
    // Each of the rest uses another of them, so following that leads back.
    let mut path = vec![graph.keys().next()?.clone()];
    loop {
        let next = graph[path.last()?].iter().find(|used| graph.contains_key(*used))?.clone();
        let start = path.iter().position(|module| *module == next);
        path.push(next);
        if let Some(start) = start {
            return Some(path[start..].join(" -> "));
        }
    }
}

fn graph(folder: &str) -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(folder);
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let modules: BTreeMap<_, _> = entries(&root).map(|path| (name(&path), path)).collect();
    // How the folder is named within its crate.
    let here = folder.split_once("/src/").map_or("crate::".into(), |(_, path)| format!("crate::{path}::"));
    let used_by = |name: &str, path: &Path| {
        let (mut used, mut paths) = (BTreeSet::new(), vec![path.to_owned()]);
        while let Some(inner) = paths.pop() {
            paths.extend(entries(&inner));
            let text = code(&inner);
            for prefix in [&*here, "super::"].into_iter().filter(|prefix| *prefix == here || inner == path) {
                for named in text.split(prefix).skip(1) {
                    let end = if named.starts_with('{') { |c| c == ';' } else { |c| !is_word(c) };
                    let words = named.split(end).next().into_iter().flat_map(|named| named.split(|c| !is_word(c)));
                    used.extend(words.filter(|word| *word != name && modules.contains_key(*word)).map(str::to_owned));
                }
            }
        }
        used
    };
    modules.iter().map(|(name, path)| (name.clone(), used_by(name, path))).collect()
}

/// A file without comments and tests; nothing of a folder.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    code.filter(|line| !line.trim_start().starts_with("//")).collect()
}

/// What is in a folder; nothing is in a file.
fn entries(path: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(path).into_iter().flatten().map(|entry| entry.expect("an entry").path())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
