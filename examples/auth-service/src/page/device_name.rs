//! A device's name, from its user agent.

/// The kind of a device, as far as its user agent tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Computer,
    Phone,
    Other,
}

/// The order matters: most of them also claim to be one of the later ones.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str, Kind); 7] = [
    ("iPhone", "iPhone", Kind::Phone),
    ("iPad", "iPad", Kind::Phone),
    ("Android", "Android", Kind::Phone),
    ("Windows", "Windows", Kind::Computer),
    ("Mac OS X", "Mac", Kind::Computer),
    ("CrOS", "Chromebook", Kind::Computer),
    ("Linux", "Linux", Kind::Computer),
];

/// What native apps on phones have in their agents, besides the systems' names.
const NATIVE: [&str; 5] = ["iOS", "CFNetwork/", "okhttp/", "Dalvik/", "Dart/"];

/// A name and a kind. An agent that is no browser's is shown as it is.
pub(super) fn device_name(agent: Option<&str>) -> (String, Kind) {
    let Some(agent) = agent else { return ("Unknown device".to_owned(), Kind::Other) };
    let browser = BROWSERS.iter().find(|(mark, _)| agent.contains(mark));
    let system = SYSTEMS.iter().find(|(mark, ..)| agent.contains(mark));
    match (browser, system) {
        (Some((_, browser)), Some((_, system, kind))) if agent.starts_with("Mozilla/5.0 (") => {
            (format!("{browser} on {system}"), *kind)
        }
        (_, Some((_, system, Kind::Phone))) if !agent.starts_with("Mozilla/") => (app_on(agent, system), Kind::Phone),
        _ if NATIVE.iter().any(|mark| agent.contains(mark)) => (shortened(agent), Kind::Phone),
        _ => (shortened(agent), Kind::Other),
    }
}

/// "Example on iPhone", for "Example/2.1 (iPhone; iOS 18.0)".
fn app_on(agent: &str, system: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
    match agent.split_once('/') {
        Some((app, _)) if (1..=40).contains(&app.len()) && app.chars().all(is_plain) => format!("{app} on {system}"),
        _ => shortened(agent),
    }
}

fn shortened(agent: &str) -> String {
    let mut chars = agent.chars();
    let start: String = chars.by_ref().take(60).collect();
    if chars.next().is_some() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_what_they_alone_say() {
        let linux =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                       Safari/537.36 Edg/140.0.0.0";
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.0 Mobile/15E148 Safari/604.1";
        let android = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/140.0.0.0 Mobile Safari/537.36";
        for (agent, name, kind) in [
            (linux, "Chrome on Linux", Kind::Computer),
            (windows, "Edge on Windows", Kind::Computer),
            (mac, "Firefox on Mac", Kind::Computer),
            (iphone, "Safari on iPhone", Kind::Phone),
            (android, "Chrome on Android", Kind::Phone),
        ] {
            assert_eq!(device_name(Some(agent)), (name.to_owned(), kind));
        }
    }

    #[test]
    fn an_app_on_a_phone_is_known_by_its_own_name() {
        for (agent, name) in [
            ("Example/2.1 (iPhone; iOS 18.0)", "Example on iPhone"),
            ("Example Pro/7 (Android 15; Pixel 9)", "Example Pro on Android"),
            ("Example/1 CFNetwork/1568.200.51 Darwin/24.1.0", "Example/1 CFNetwork/1568.200.51 Darwin/24.1.0"),
            ("okhttp/4.12.0", "okhttp/4.12.0"),
            ("<b>/1 (iPhone)", "<b>/1 (iPhone)"),
        ] {
            assert_eq!(device_name(Some(agent)), (name.to_owned(), Kind::Phone));
        }
    }

    #[test]
    fn another_agent_is_shown_as_it_is() {
        assert_eq!(device_name(Some("curl/8.5.0")), ("curl/8.5.0".to_owned(), Kind::Other));
        assert_eq!(device_name(Some("<b>Firefox/ Linux")).0, "<b>Firefox/ Linux");
        assert_eq!(device_name(Some(&"ä".repeat(100))).0, format!("{}…", "ä".repeat(60)));
        assert_eq!(device_name(None).0, "Unknown device");
    }
}
