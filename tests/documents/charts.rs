//! The charts of the README, drawn from the figures that docs/benchmarks.md has measured.

use std::fmt::Write as _;
use std::fs;

use crate::markdown::{Page, file, on_one_line, path};

const WIDTH: f64 = 480.0;

/// A bar: who, how much, and how that is written.
struct Bar {
    name: &'static str,
    amount: f64,
    shown: String,
}

/// The word that follows `before` in the page, without the comma at its end.
#[track_caller]
fn after<'a>(text: &'a str, before: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("docs/benchmarks.md does not say {before}")).1;
    rest.trim_start().split([' ', ',', ';']).next().unwrap_or_default()
}

#[track_caller]
fn number(word: &str) -> f64 {
    word.parse().unwrap_or_else(|error| panic!("{word} in docs/benchmarks.md: {error}"))
}

fn logout() -> String {
    let page = on_one_line(&Page::read("docs/benchmarks.md").text);
    let (sentence, rest) = page
        .split_once("To log out one user among 1,000,000 sessions takes ")
        .map(|(_, rest)| rest.split_once("; where SCAN has to find them, ").expect("what SCAN takes"))
        .expect("the time of a logout");
    let ours = number(sentence.strip_suffix(" µs").expect("microseconds"));
    let scan = number(rest.split_once(" s.").expect("seconds").0);
    chart(
        "Log out one user everywhere, among 1,000,000 sessions",
        &[
            Bar { name: "SESSION.REVOKEUSER", amount: ours, shown: format!("{ours} µs") },
            Bar { name: "SCAN and DEL", amount: scan * 1e6, shown: format!("{scan} s") },
        ],
    )
}

fn memory() -> String {
    let page = on_one_line(&Page::read("docs/benchmarks.md").text);
    let line = page.split_once("With 4 sessions per user, each takes ").expect("the memory of a session").1;
    let bytes = |name, word| Bar { name, amount: number(word), shown: format!("{word} bytes") };
    chart(
        "Memory for a session, with four sessions for each user",
        &[
            bytes("redis-session", line.split(' ').next().unwrap_or_default()),
            bytes("hash field with a TTL", after(line, "as a string and in a set,")),
            bytes("string and set", after(line, "bytes;")),
        ],
    )
}

/// Bars from zero: their lengths are the amounts.
fn chart(title: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.amount).fold(0.0, f64::max);
    let height = 56 + 40 * bars.len();
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" width="800" height="{height}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="title">
<title id="title">{title}</title>
<style>
.page {{ fill: #fff; stroke: #d0d7de }} text {{ fill: #1f2328 }} .bar {{ fill: #8c959f }} .ours {{ fill: #1a7f37 }}
@media (prefers-color-scheme: dark) {{ .page {{ fill: #0d1117; stroke: #3d444d }} text {{ fill: #f0f6fc }} .bar {{ fill: #656c76 }} .ours {{ fill: #3fb950 }} }}
</style>
<rect class="page" x="0.5" y="0.5" width="799" height="{}" rx="8"/>
<text x="24" y="32" font-size="16" font-weight="600">{title}</text>
"#,
        height - 1
    );
    for (bar, n) in bars.iter().zip(0..) {
        let (y, class) = (56 + 40 * n, if n == 0 { "ours" } else { "bar" });
        // What is too small to be seen is a line.
        let width = (bar.amount / longest * WIDTH).max(1.0);
        let text = 200.0 + width;
        let _ = write!(
            svg,
            r#"<text x="176" y="{}" text-anchor="end">{}</text>
<rect class="{class}" x="184" y="{y}" width="{width:.1}" height="24" rx="1"/>
<text x="{text:.1}" y="{}">{}</text>
"#,
            y + 17,
            bar.name,
            y + 17,
            bar.shown
        );
    }
    svg + "</svg>\n"
}

/// With `REDIS_TEST_WRITE_DOCUMENTS=1` the charts are drawn instead.
#[test]
fn the_readmes_charts_are_generated_from_the_measured_figures() {
    for (name, drawn) in [("docs/pictures/logout.svg", logout()), ("docs/pictures/memory.svg", memory())] {
        if std::env::var_os("REDIS_TEST_WRITE_DOCUMENTS").is_some_and(|set| !set.is_empty()) {
            fs::write(path(name), drawn).expect("the chart");
            continue;
        }
        assert!(file(name) == drawn, "{name} shows other figures than docs/benchmarks.md: `make docs` draws it");
    }
}
