//! The page: `page.md` with the tables and what they were measured on, and the pictures next to it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use plotters::style::RGBColor;
use redis_session_benches::LIBRARIES;
use redis_session_tests::ServerBuilder;

use crate::contenders::Contender;
use crate::libraries::Request;
use crate::meanwhile::Meanwhile;
use crate::memory::PerUser;
use crate::plot::{Bars, Group, Limit, Line, Lines, Row, Scale};
use crate::speed::{Cost, Operation, Speed};
use crate::{Bytes, CONNECTIONS, OPERATIONS, ROUNDS, Results, SESSIONS, Settings};

pub(crate) fn write(settings: &Settings, results: &Results) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::create_dir_all(docs.join("benchmarks")).expect("the folder of the pictures");
    fs::write(docs.join("benchmarks.md"), page(settings, results)).expect("the page");
    for (name, picture) in pictures(results) {
        fs::write(docs.join(format!("benchmarks/{name}.svg")), picture).expect("a picture");
    }
}

fn page(settings: &Settings, results: &Results) -> String {
    let missing = match settings.redis_8 {
        Some(_) => "",
        None => "\n**Redis 8 could not be had**, so (c) is missing: `scripts/test-servers --fetch redis-8` says why.\n",
    };
    let redis_8 = settings.redis_8.as_deref().map(server_version);
    let fills = [
        ("command", command(settings)),
        ("date", output("date", &["-u", "+%Y-%m-%d"])),
        ("machine", machine()),
        ("servers", [Some(server_version("")), redis_8].into_iter().flatten().collect::<Vec<_>>().join(" and ")),
        ("rust", output("rustc", &["--version"])),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("connections", settings.connections.to_string()),
        ("rounds", settings.rounds.to_string()),
        ("operations", number(settings.operations as f64)),
        ("missing", missing.to_owned()),
        ("in-short", in_short(results)),
        ("throughput", by_size(results, throughput)),
        ("latency", by_size(results, latency)),
        ("alone", alone(results)),
        ("logout-all", logout_all(results)),
        ("memory", memory(results)),
        ("growth", growth(results)),
        ("meanwhile", meanwhile(results)),
        ("libraries", libraries(results)),
        ("instructions", instructions()),
    ];
    let mut page = include_str!("page.md").to_owned();
    for (name, text) in fills {
        page = page.replace(&format!("{{{{{name}}}}}"), text.trim_end());
    }
    page
}

/// The tables alone, for the terminal.
pub(crate) fn tables(results: &Results) -> String {
    [
        by_size(results, throughput),
        by_size(results, latency),
        alone(results),
        logout_all(results),
        memory(results),
        growth(results),
        meanwhile(results),
    ]
    .join("\n")
}

// --- Tables

/// A table from its heading and rows. All columns but the first are of numbers.
fn table(heading: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let ruler = format!("|---|{}\n", "--:|".repeat(heading.len().saturating_sub(1)));
    rows.iter().fold(line(heading) + &ruler, |table, row| table + &line(row))
}

fn by_size(results: &Results, of: fn(&Speed) -> String) -> String {
    let mut text = String::new();
    for speed in &results.speed {
        let _ = writeln!(text, "{} sessions:\n\n{}", number(speed.sessions as f64), of(speed));
    }
    text
}

/// The operations that all do with several connections.
fn operations() -> impl Iterator<Item = Operation> {
    Operation::ALL.into_iter().filter(|operation| *operation != Operation::CheckAlone)
}

fn contenders(costs: &[Cost]) -> impl Iterator<Item = Contender> {
    // The last one takes part in one operation, which has a table of its own.
    Contender::ALL
        .into_iter()
        .filter(|one| *one != Contender::JwtOneByOne && costs.iter().any(|cost| cost.contender == *one))
}

fn cost(costs: &[Cost], contender: Contender, operation: Operation) -> Option<&Cost> {
    costs.iter().find(|cost| cost.contender == contender && cost.operation == operation)
}

fn by_operation(costs: &[Cost], cell: impl Fn(&Cost) -> String) -> String {
    let mut heading = vec![String::new()];
    heading.extend(operations().map(|operation| operation.name().to_owned()));
    let row = |contender: Contender| {
        let cells = operations().map(|operation| cost(costs, contender, operation).map_or("-".to_owned(), &cell));
        [contender.name().to_owned()].into_iter().chain(cells).collect()
    };
    table(&heading, &contenders(costs).map(row).collect::<Vec<_>>())
}

fn throughput(speed: &Speed) -> String {
    let table = by_operation(&speed.costs, |cost| {
        let per_second = number(cost.figures.per_second);
        match cost.ratio {
            Some(ratio) if cost.contender != cost.contender.compared_with() => {
                format!("{per_second} ({})", share(ratio))
            }
            _ => per_second,
        }
    });
    format!("{table}\nPING, which no command exceeds: {}.\n", number(speed.pings))
}

fn latency(speed: &Speed) -> String {
    by_operation(&speed.costs, |cost| format!("{} / {}", number(cost.figures.p50), number(cost.figures.p99)))
}

fn alone(results: &Results) -> String {
    let Some(Speed { costs: last, .. }) = results.speed.last() else { return String::new() };
    let mut heading = vec![String::new()];
    heading.extend(results.speed.iter().map(|speed| format!("{} sessions", number(speed.sessions as f64))));
    heading.push("times as long".to_owned());
    let p50 = |costs, contender| cost(costs, contender, Operation::CheckAlone).map(|cost| cost.figures.p50);
    let row = |contender: Contender| {
        let mut row = vec![contender.name().to_owned()];
        row.extend(results.speed.iter().map(|speed| p50(&speed.costs, contender).map_or("-".to_owned(), number)));
        let ratio = p50(last, contender).zip(p50(last, contender.compared_with())).map(|(one, module)| one / module);
        row.push(ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
        row
    };
    table(&heading, &contenders(last).map(row).collect::<Vec<_>>())
}

fn logout_all(results: &Results) -> String {
    let mut heading = vec![String::new()];
    heading.extend(results.speed.iter().map(|speed| format!("{} sessions", number(speed.sessions as f64))));
    let mut rows = Vec::new();
    for contender in Contender::ALL {
        let figures: Vec<_> = results
            .speed
            .iter()
            .map(|speed| cost(&speed.costs, contender, Operation::LogoutAll).map(|cost| cost.figures.p50))
            .collect();
        if figures.iter().any(Option::is_some) {
            let cells = figures.iter().map(|figure| figure.map_or("-".to_owned(), time));
            rows.push([contender.name().to_owned()].into_iter().chain(cells).collect());
        }
    }
    table(&heading, &rows)
}

fn memory(results: &Results) -> String {
    let mut text = String::new();
    for per_user in PerUser::ALL {
        let found = || results.memory.iter().filter(|one| one.per_user == per_user);
        let mut sizes: Vec<_> = found().map(|one| one.sessions).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut heading = vec![per_user.name().to_owned()];
        heading.extend(sizes.iter().map(|sessions| number(*sessions as f64)));
        let mut rows = Vec::new();
        for contender in Contender::ALL.into_iter().filter(|one| found().any(|found| found.contender == *one)) {
            let bytes = |sessions: &usize| {
                let bytes = found().find(|one| one.contender == contender && one.sessions == *sessions);
                bytes.map_or("-".to_owned(), |one| number(one.bytes))
            };
            rows.push([contender.name().to_owned()].into_iter().chain(sizes.iter().map(bytes)).collect());
        }
        let _ = writeln!(text, "{}", table(&heading, &rows));
    }
    text
}

fn growth(results: &Results) -> String {
    let mut heading = vec![String::new()];
    heading.extend(results.growth.iter().map(|growth| format!("{} per user", number(growth.per_user as f64))));
    let operations = results.growth.first().into_iter().flat_map(|growth| &growth.times);
    let row = |at: usize, operation: Operation| {
        let cells = results.growth.iter().map(|growth| growth.times.get(at).map_or("-".to_owned(), |one| time(one.1)));
        [operation.name().to_owned()].into_iter().chain(cells).collect()
    };
    table(&heading, &operations.enumerate().map(|(at, (operation, _))| row(at, *operation)).collect::<Vec<_>>())
}

fn meanwhile(results: &Results) -> String {
    let heading = ["meanwhile", "checks per second", "median", "99th percentile"].map(str::to_owned);
    let row = |one: &Meanwhile| {
        let figures = one.figures;
        vec![one.what.to_owned(), number(figures.per_second), time(figures.p50), time(figures.p99)]
    };
    table(&heading, &results.meanwhile.iter().map(row).collect::<Vec<_>>())
}

fn libraries(results: &Results) -> String {
    let heading = ["one request", "commands", "round trips", "server instructions", "bytes", "time", "times ours"];
    let ours = results.requests.first().map_or(1.0, |ours| ours.time);
    let row = |request: &Request| {
        let Request { name, commands, bytes, time } = request;
        // The module's has the name of its command there.
        let counted = if *name == "redis-session" { "SESSION.TOUCH BRIEF" } else { name };
        let names: Vec<_> = commands.iter().map(|name| format!("`{name}`")).collect();
        vec![
            (*name).to_owned(),
            names.join(", "),
            commands.len().to_string(),
            counts().find(|count| count.0 == counted).map_or("-".to_owned(), |count| number(count.1)),
            number(*bytes),
            format!("{time:.0} µs"),
            format!("{:.2}", time / ours),
        ]
    };
    table(&heading.map(str::to_owned), &results.requests.iter().map(row).collect::<Vec<_>>())
}

/// The server's share of the instructions as well as the module's.
fn instructions() -> String {
    let heading = ["one command", "instructions", "the module's", "the server's"];
    let is_library = |name: &str| LIBRARIES.iter().any(|library| library.name == name);
    let row =
        |(name, all, ours): (&str, f64, f64)| vec![name.to_owned(), number(all), number(ours), number(all - ours)];
    let rows: Vec<_> = counts().filter(|count| !is_library(count.0)).map(row).collect();
    table(&heading.map(str::to_owned), &rows)
}

/// What `make bench-check` has counted: names, instructions, and those of them that are the module's.
fn counts() -> impl Iterator<Item = (&'static str, f64, f64)> {
    include_str!("../instructions.txt").lines().filter_map(|line| {
        let mut cells = line.split('|');
        Some((cells.next()?, cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
    })
}

/// What people ask first, for the most sessions.
fn in_short(results: &Results) -> String {
    let Some(Speed { sessions, costs, .. }) = results.speed.last() else { return String::new() };
    let p50 = |contender, operation| cost(costs, contender, operation).map(|cost| cost.figures.p50);
    let mut text = String::new();
    let alone = |contender| {
        let module = p50(Contender::Module, Operation::CheckAlone)?;
        p50(contender, Operation::CheckAlone).map(|one| one / module)
    };
    if let Some((three, one)) = alone(Contender::Jwt).zip(alone(Contender::JwtPipelined)) {
        let _ = writeln!(
            text,
            "- With a JWT and three EXISTS one after the other, a check on one connection takes {three:.1} times\n  \
             as long, with the three in one pipeline {one:.1} times."
        );
    }
    let logout_all = |contender| p50(contender, Operation::LogoutAll).map(time);
    if let Some((module, walk)) = logout_all(Contender::Module).zip(logout_all(Contender::Jwt)) {
        let sessions = number(*sessions as f64);
        let _ = writeln!(
            text,
            "- To log out one user among {sessions} sessions takes {module}; where SCAN has to find them, {walk}."
        );
    }
    for per_user in [PerUser::One, PerUser::Four] {
        let bytes = |contender| {
            let found =
                |one: &&Bytes| one.contender == contender && one.per_user == per_user && one.sessions == *sessions;
            results.memory.iter().find(found).map(|one| number(one.bytes))
        };
        if let Some((module, set)) = bytes(Contender::Module).zip(bytes(Contender::Set)) {
            let hash = bytes(Contender::Hash).map(|hash| format!(", {hash} as a field with a TTL")).unwrap_or_default();
            let name = per_user.name();
            let _ = writeln!(text, "- With {name}, each takes {module} bytes; {set} as a string and in a set{hash}.");
        }
    }
    text
}

// --- Pictures

fn pictures(results: &Results) -> Vec<(&'static str, String)> {
    let Some(Speed { sessions, costs, pings }) = results.speed.last() else { return Vec::new() };
    let at = format!("{} sessions", number(*sessions as f64));
    let groups = |of: &dyn Fn(&Cost) -> Row| {
        let group = |operation: Operation| Group {
            title: operation.name().to_owned(),
            rows: contenders(costs).filter_map(|one| cost(costs, one, operation)).map(of).collect(),
        };
        operations().map(group).collect::<Vec<_>>()
    };
    let row = |cost: &Cost, value, up_to, text| Row {
        name: cost.contender.name().to_owned(),
        colour: colour(cost.contender),
        value,
        up_to,
        text,
    };
    let throughput = groups(&|cost| {
        let value = cost.figures.per_second;
        row(cost, value, None, number(value))
    });
    let latency = groups(&|cost| {
        let figures = cost.figures;
        row(cost, figures.p50, Some(figures.p99), format!("{} / {}", time(figures.p50), time(figures.p99)))
    });
    let memory: Vec<_> = PerUser::ALL
        .into_iter()
        .filter_map(|per_user| {
            let found = || results.memory.iter().filter(|one| one.per_user == per_user);
            let sessions = found().map(|one| one.sessions).max()?;
            let row = |one: &Bytes| Row {
                name: one.contender.name().to_owned(),
                colour: colour(one.contender),
                value: one.bytes,
                up_to: None,
                text: number(one.bytes),
            };
            let rows = found().filter(|one| one.sessions == sessions).map(row).collect();
            Some(Group { title: format!("{}, {} sessions", per_user.name(), number(sessions as f64)), rows })
        })
        .collect();
    let line = |contender: Contender| Line {
        name: contender.name().to_owned(),
        colour: colour(contender),
        points: results
            .speed
            .iter()
            .filter_map(|Speed { sessions, costs, .. }| {
                Some((*sessions as f64, cost(costs, contender, Operation::LogoutAll)?.figures.p50))
            })
            .collect(),
    };
    let lines: Vec<_> = Contender::ALL.into_iter().map(line).filter(|line| !line.points.is_empty()).collect();
    let throughput = Bars {
        title: format!("Throughput, {at}"),
        axis: "operations per second",
        scale: Scale::Linear,
        label: number,
        limit: Some(Limit { name: "PING", value: *pings }),
        groups: throughput,
    };
    let latency = Bars {
        title: format!("Latency, {at}"),
        axis: "time of one operation: the dot is the median, the line ends at the 99th percentile",
        scale: Scale::Logarithmic,
        label: time,
        limit: None,
        groups: latency,
    };
    let memory = Bars {
        title: "Memory of a session".to_owned(),
        axis: "bytes per session",
        scale: Scale::Linear,
        label: number,
        limit: None,
        groups: memory,
    };
    let logout_all = Lines {
        title: "Logging one user out, by how many sessions there are",
        axes: ["sessions on the server", "median time of one logout-all"],
        labels: [number, time],
        lines,
    };
    vec![
        ("throughput", throughput.svg()),
        ("latency", latency.svg()),
        ("memory", memory.svg()),
        ("logout-all", logout_all.svg()),
    ]
}

/// Told apart by people who see red and green alike too (Okabe and Ito's palette).
const fn colour(contender: Contender) -> RGBColor {
    match contender {
        Contender::Module => RGBColor(0, 114, 178),
        Contender::ModuleOn8 => RGBColor(86, 180, 233),
        Contender::Jwt => RGBColor(213, 94, 0),
        Contender::JwtPipelined => RGBColor(230, 159, 0),
        Contender::JwtOneByOne => RGBColor(140, 61, 0),
        Contender::Set => RGBColor(0, 158, 115),
        Contender::Lua => RGBColor(204, 121, 167),
        Contender::Hash => RGBColor(102, 102, 102),
    }
}

// --- Numbers and words

/// With as many digits as mean something, in groups of three.
fn number(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (number, digit) in digits.chars().enumerate() {
        if number > 0 && (digits.len() - number) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio, which may be small.
fn share(ratio: f64) -> String {
    if ratio < 0.01 { "< 0.01".to_owned() } else { format!("{ratio:.2}") }
}

/// Microseconds, in the unit that people would use.
fn time(micros: f64) -> String {
    let (value, unit) = match micros {
        micros if micros < 1e3 => (micros, "µs"),
        micros if micros < 1e6 => (micros / 1e3, "ms"),
        micros => (micros / 1e6, "s"),
    };
    if value < 10.0 && unit != "µs" && value.fract() != 0.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// What repeats this run.
fn command(settings: &Settings) -> String {
    let mut words = Vec::new();
    if settings.sessions != SESSIONS {
        let sizes: Vec<_> = settings.sessions.iter().map(ToString::to_string).collect();
        words.push(format!("SESSIONS={}", sizes.join(",")));
    }
    for (name, value, usual) in [
        ("ROUNDS", settings.rounds, ROUNDS),
        ("OPERATIONS", settings.operations, OPERATIONS),
        ("CONNECTIONS", settings.connections, CONNECTIONS),
    ] {
        if value != usual {
            words.push(format!("{name}={value}"));
        }
    }
    words.push("make bench".to_owned());
    words.join(" ")
}

fn machine() -> String {
    let file = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = file.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or_else(|| output("uname", &["-m"]), |(_, model)| model.to_owned());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores of {model}, {}", output("uname", &["-sm"]))
}

/// Its version, asked of the server itself.
fn server_version(program: &str) -> String {
    let builder = ServerBuilder::new().without_module();
    let server = if program.is_empty() { builder.start() } else { builder.program(program).start() };
    format!("Redis {}", server.info("server", "redis_version"))
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
