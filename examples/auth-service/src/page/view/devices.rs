//! "Your devices".

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use redis_session::Session;

use super::{Frame, icon};
use crate::api::Theme;
use crate::page::device_name::device_name;
use crate::page::when::ago;
use crate::sign_in::PASSWORD_RULE;

/// How long before its end a session warns.
const WARNING: Duration = Duration::from_secs(5 * 60);

pub(crate) fn devices(frame: Frame<'_>, list: &Markup) -> Markup {
    let content = html! {
        section #live aria-label="Devices" { (list) }
        div.columns {
            section.card aria-labelledby="password-title" {
                h2 #password-title { "Password" }
                p.hint { "A new password signs out all other devices." }
                form method="post" action="/change-password" {
                    // For the password manager.
                    input name="username" value=(frame.account.name) autocomplete="username" hidden;
                    label for="current" { "Current password" }
                    input #current name="current" type="password" autocomplete="current-password" required;
                    label for="new" { "New password" }
                    input #new name="new" type="password" autocomplete="new-password" required minlength="12"
                        maxlength="256" aria-describedby="new-rule";
                    p #new-rule.hint { (PASSWORD_RULE) }
                    button type="submit" { "Change password" }
                }
            }
            section.card aria-labelledby="theme-title" {
                h2 #theme-title { "Appearance" }
                p.hint { "For this device, as long as it is signed in." }
                form method="post" action="/theme" {
                    fieldset {
                        legend { "Colours" }
                        (choice(frame.theme, Theme::System, "system", "System default"))
                        (choice(frame.theme, Theme::Light, "light", "Light"))
                        (choice(frame.theme, Theme::Dark, "dark", "Dark"))
                    }
                    button type="submit" { "Save" }
                }
            }
        }
    };
    frame.page("Your devices", true, &content)
}

fn choice(now: Theme, this: Theme, value: &str, text: &str) -> Markup {
    html! { label.check { input type="radio" name="theme" value=(value) checked[now == this]; (text) } }
}

/// The part that `live.js` asks for. Each element in it with an id replaces the one with that id on the page.
pub(crate) fn list(devices: &[Session], here: &str) -> Markup {
    let others = devices.len().saturating_sub(1);
    html! {
        div #expiry role="status" {
            @if let Some(here) = devices.iter().find(|device| device.id == here) { (expiry(here)) }
        }
        p #count role="status" {
            @match others {
                0 => "You are signed in on this device only.",
                1 => "You are signed in on this device and 1 other.",
                _ => { "You are signed in on this device and " (others) " others." },
            }
            @if others > 0 { " If you do not recognize one, sign it out and change your password." }
        }
        ul #devices.devices { @for device in devices { (row(device, device.id == here)) } }
        div #actions.actions {
            @if others > 0 {
                form method="post" action="/sign-out-others" {
                    button #end-others type="submit" { "Sign out all other devices" }
                }
            }
            a #end-all.button.danger href="/sign-out-everywhere" { "Sign out everywhere" }
        }
    }
}

/// A warning for the last minutes of a session. Looking at an open page does not keep anybody signed in; a click does.
fn expiry(here: &Session) -> Markup {
    let idle = here.idle_expires_at.filter(|idle| *idle < here.expires_at);
    let left = idle.unwrap_or(here.expires_at).to_system_time().duration_since(SystemTime::now()).unwrap_or_default();
    let minutes = left.as_secs() / 60 + 1;
    html! {
        @if left < WARNING {
            p.notice.warning {
                "You will be signed out in " (minutes) @if minutes == 1 { " minute. " } @else { " minutes. " }
                @if idle.is_some() { a href="/" { "Stay signed in" } } @else { "Save your work, then sign in again." }
            }
        }
    }
}

fn row(device: &Session, is_here: bool) -> Markup {
    let (name, kind) = device_name(device.agent.as_deref());
    let action = if is_here { "/sign-out".to_owned() } else { format!("/devices/{}/sign-out", device.id) };
    html! {
        li.device.here[is_here] {
            (icon(kind))
            div {
                h2 { (name) @if is_here { span.badge { "This device" } } }
                (facts(device))
            }
            form method="post" action=(action) {
                button type="submit" id={ "end-" (device.id) } aria-label={ "Sign out " (name) } { "Sign out" }
            }
        }
    }
}

pub(super) fn facts(device: &Session) -> Markup {
    html! {
        dl {
            div { dt { "Address" } dd { @match device.ip { Some(ip) => (ip), None => "unknown" } } }
            div { dt { "Signed in" } dd { (ago(device.created_at.to_system_time())) } }
            div { dt { "Last seen" } dd { (ago(device.last_seen_at.to_system_time())) } }
        }
    }
}
