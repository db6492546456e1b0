//! The pages' HTML. The template escapes whatever is put into it.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use redis_session::Session;

use super::Notice;
use super::device_name::{Kind, device_name};
use super::when::ago;
use crate::api::Theme;
use crate::sign_in::{NAME_RULE, PASSWORD_RULE};

fn layout(title: &str, theme: Theme, live: bool, content: &Markup) -> Markup {
    let theme = match theme {
        Theme::System => None,
        Theme::Light => Some("light"),
        Theme::Dark => Some("dark"),
    };
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/static/style.css";
                @if live { script src="/static/live.js" defer {} }
            }
            body { (content) }
        }
    }
}

fn notice(notice: Option<Notice>) -> Markup {
    html! {
        @match notice {
            Some(Notice::Done(done)) => p.notice.good role="status" { (done.text()) },
            Some(Notice::Problem(text)) => p.notice.bad role="alert" { (text) },
            None => {},
        }
    }
}

fn entrance(title: &str, shown: Option<Notice>, form: &Markup) -> Markup {
    let content = html! {
        main.entrance {
            (PreEscaped(KEY))
            h1 { (title) }
            (notice(shown))
            (form)
        }
    };
    layout(title, Theme::System, false, &content)
}

pub(super) fn sign_in(shown: Option<Notice>, name: &str) -> Markup {
    let form = html! {
        form.card method="post" action="/sign-in" {
            (name_field(name, None))
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="current-password" required;
            label.check { input name="remember" type="checkbox" value="yes"; "Stay signed in for 30 days" }
            button.primary type="submit" { "Sign in" }
        }
        p.aside { "No account yet? " a href="/sign-up" { "Create one" } }
    };
    entrance("Sign in", shown, &form)
}

pub(super) fn sign_up(shown: Option<Notice>, name: &str) -> Markup {
    let form = html! {
        form.card method="post" action="/sign-up" {
            (name_field(name, Some("name-rule")))
            p #name-rule.hint { (NAME_RULE) }
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="new-password" required minlength="12"
                maxlength="256" aria-describedby="password-rule";
            p #password-rule.hint { (PASSWORD_RULE) }
            button.primary type="submit" { "Create the account" }
        }
        p.aside { "You have one? " a href="/" { "Sign in" } }
    };
    entrance("Create an account", shown, &form)
}

fn name_field(name: &str, described_by: Option<&str>) -> Markup {
    html! {
        label for="name" { "Name" }
        input #name name="name" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false" required
            maxlength="32" autofocus[name.is_empty()] aria-describedby=[described_by];
    }
}

pub(super) fn problem(text: &'static str) -> Markup {
    let back = html! { p.aside { a href="/" { "Back to the start" } } };
    entrance("That did not work", Some(Notice::Problem(text)), &back)
}

pub(super) fn devices(name: &str, theme: Theme, shown: Option<Notice>, list: &Markup) -> Markup {
    let content = html! {
        header.bar {
            span.brand { (PreEscaped(KEY)) "Account" }
            span.who { "Signed in as " strong { (name) } }
            form method="post" action="/sign-out" { button type="submit" { "Sign out" } }
        }
        main {
            h1 { "Your devices" }
            (notice(shown))
            section #live aria-label="Devices" { (list) }
            div.actions {
                form method="post" action="/sign-out-others" {
                    button type="submit" { "Sign out all other devices" }
                }
                form method="post" action="/sign-out-everywhere" {
                    button.danger type="submit" { "Sign out everywhere" }
                }
            }
            div.columns {
                section.card aria-labelledby="password-title" {
                    h2 #password-title { "Change your password" }
                    p.hint { "All other devices are signed out." }
                    form method="post" action="/change-password" {
                        // For the password manager.
                        input name="username" value=(name) autocomplete="username" hidden;
                        label for="current" { "Current password" }
                        input #current name="current" type="password" autocomplete="current-password" required;
                        label for="new" { "New password" }
                        input #new name="new" type="password" autocomplete="new-password" required minlength="12"
                            maxlength="256" aria-describedby="new-rule";
                        p #new-rule.hint { (PASSWORD_RULE) }
                        button type="submit" { "Change it" }
                    }
                }
                section.card aria-labelledby="theme-title" {
                    h2 #theme-title { "Appearance" }
                    p.hint { "For this device, as long as it is signed in." }
                    form method="post" action="/theme" {
                        fieldset {
                            legend { "Colours" }
                            (choice(theme, Theme::System, "system", "As the system has them"))
                            (choice(theme, Theme::Light, "light", "Light"))
                            (choice(theme, Theme::Dark, "dark", "Dark"))
                        }
                        button type="submit" { "Use these" }
                    }
                }
            }
        }
    };
    layout("Your devices", theme, true, &content)
}

fn choice(now: Theme, this: Theme, value: &str, text: &str) -> Markup {
    html! { label.check { input type="radio" name="theme" value=(value) checked[now == this]; (text) } }
}

/// What `live.js` asks for: each part that has an id replaces the one with that id.
pub(super) fn list(devices: &[Session], here: &str) -> Markup {
    let others = devices.len().saturating_sub(1);
    html! {
        p #count role="status" {
            @match others {
                0 => "You are signed in on this device alone.",
                1 => "You are signed in on this device and 1 other.",
                _ => { "You are signed in on this device and " (others) " others." },
            }
            @if others > 0 { " If you do not know one, sign it out and change your password." }
        }
        ul #devices { @for device in devices { (row(device, device.id == here)) } }
    }
}

fn row(device: &Session, is_here: bool) -> Markup {
    let (name, kind) = device_name(device.agent.as_deref());
    let icon = match kind {
        Kind::Computer => COMPUTER,
        Kind::Phone => PHONE,
        Kind::Other => OTHER,
    };
    let action = if is_here { "/sign-out".to_owned() } else { format!("/devices/{}/sign-out", device.id) };
    html! {
        li.device.here[is_here] {
            (PreEscaped(icon))
            div {
                h2 { (name) @if is_here { span.badge { "This device" } } }
                dl {
                    div { dt { "Address" } dd { @match device.ip { Some(ip) => (ip), None => "unknown" } } }
                    div { dt { "Signed in" } dd { (ago(device.created_at)) } }
                    div { dt { "Last seen" } dd { (ago(device.last_seen_at)) } }
                }
            }
            form method="post" action=(action) {
                button type="submit" id={ "end-" (device.id) } aria-label={ "Sign out " (name) } { "Sign out" }
            }
        }
    }
}

const COMPUTER: &str = r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><rect x="4" y="5" width="16" height="11" rx="1.5"/><path d="M2 19.5h20"/></svg>"#;
const PHONE: &str = r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><rect x="7" y="2.5" width="10" height="19" rx="2"/><path d="M11 18.5h2"/></svg>"#;
const OTHER: &str = r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><rect x="3" y="4.5" width="18" height="15" rx="2"/><path d="m7 9.5 3 2.5-3 2.5M12.5 15H17"/></svg>"#;
const KEY: &str = r#"<svg class="icon key" viewBox="0 0 24 24" aria-hidden="true"><circle cx="8" cy="15" r="4.5"/><path d="m11.5 12 8.5-8.5M16 7.5l3 3M13.5 10l2 2"/></svg>"#;
