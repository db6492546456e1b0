//! The documents, and the parts of Markdown that the tests read: sections, fenced blocks, tables and links.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block<'a> {
    /// What follows the fence: `console`, `rust,no_run`, ...
    pub(crate) language: &'a str,
    /// Where its first line is in the page, from 0.
    pub(crate) start: usize,
    pub(crate) lines: Vec<&'a str>,
}

/// A path from the root of the repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A file of the repository.
#[track_caller]
pub(crate) fn file(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README.md, the pages of docs/ and the runbooks.
pub(crate) fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/runbooks"] {
        for entry in fs::read_dir(path(folder)).expect("a folder of pages") {
            let name = entry.expect("an entry of a folder").file_name().to_string_lossy().into_owned();
            names.extend(name.ends_with(".md").then(|| format!("{folder}/{name}")));
        }
    }
    names.into_iter().map(|name| Page::read(&name)).collect()
}

impl Page {
    #[track_caller]
    pub(crate) fn read(name: &str) -> Self {
        Self { name: name.to_owned(), text: file(name) }
    }

    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        blocks(&self.text)
    }

    /// What is under the heading `title`, down to the next heading.
    #[track_caller]
    pub(crate) fn section(&self, title: &str) -> &str {
        self.find_section(title).unwrap_or_else(|| panic!("{} has no section {title}", self.name))
    }

    pub(crate) fn find_section(&self, title: &str) -> Option<&str> {
        let mut sections = self.text.split("\n## ").skip(1);
        sections.find_map(|section| section.strip_prefix(title)?.strip_prefix('\n'))
    }

    /// What the links in it lead to.
    pub(crate) fn links(&self) -> Vec<&str> {
        self.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect()
    }
}

/// The fenced blocks of a text.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some(Block { language, start: number + 1, lines: Vec::new() }),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.lines.push(line);
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fenced block does not end");
    blocks
}

/// The rows of all tables of a text, without those of the headings; cells without their backquotes.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            in_table = false;
            continue;
        };
        if row.starts_with("--") {
            in_table = true;
        } else if in_table {
            // `\|` is no border of a cell.
            let cells = row.replace("\\|", "\u{1}");
            rows.push(cells.split('|').map(|cell| cell.trim().replace('\u{1}', "|").replace('`', "")).collect());
        }
    }
    rows
}

/// One space where there are several, or a line's end.
pub(crate) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
