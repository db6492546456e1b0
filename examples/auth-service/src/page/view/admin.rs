//! For administrators.

use maud::{Markup, html};
use redis_session::Session;
use serde_json::{Map, Value};

use super::devices::facts;
use super::history::sign_ins;
use super::{Frame, icon};
use crate::accounts::Account;
use crate::history::Entry;
use crate::page::device_name::device_name;
use crate::page::when::ago;
use crate::reasons;

/// A user who was looked for.
pub(crate) struct Found {
    pub(crate) account: Account,
    pub(crate) sessions: Vec<Session>,
    pub(crate) history: Vec<Entry>,
}

pub(crate) fn admin(
    frame: Frame<'_>,
    counts: &Map<String, Value>,
    today: &[Entry],
    asked: Option<&str>,
    found: Option<&Found>,
) -> Markup {
    let count = |name: &str| counts.get(name).and_then(Value::as_i64).unwrap_or_default();
    let content = html! {
        dl.counts {
            div { dt { "Users" } dd { (count("users")) } }
            div { dt { "Sessions" } dd { (count("sessions")) } }
        }
        form.search.card method="get" action="/admin" {
            label for="user" { "Sessions of" }
            input #user name="user" value=(asked.unwrap_or_default()) autocapitalize="none" spellcheck="false" required;
            button type="submit" { "Find" }
        }
        @match (asked, found) {
            (_, Some(found)) => (user(found)),
            (Some(_), None) => p.notice.bad role="status" { "Nobody has this name." },
            _ => {},
        }
        section aria-labelledby="today-title" {
            h2 #today-title { "Ended by the server today" }
            p.hint { "Sessions that made room for a newer one, and sessions whose refresh token was used twice." }
            @if today.is_empty() { p { "None." } }
            ul.devices {
                @for entry in today {
                    @let (name, kind) = device_name(entry.agent.as_deref());
                    li.device {
                        (icon(kind))
                        div {
                            h2 { (reasons::ending(entry.reason.as_deref())) }
                            dl {
                                div { dt { "User" } dd { (entry.user) } }
                                div { dt { "Device" } dd { (name) } }
                                div { dt { "Address" } dd { (entry.ip.as_deref().unwrap_or("unknown")) } }
                                @if let Some(ended) = entry.ended { div { dt { "Ended" } dd { (ago(ended)) } } }
                            }
                        }
                    }
                }
            }
        }
    };
    frame.page("Administration", false, &content)
}

fn user(found: &Found) -> Markup {
    let Account { id, name, .. } = &found.account;
    html! {
        section aria-labelledby="user-title" {
            h2 #user-title { "Sessions of " (name) " (user " (id) ")" }
            @if found.sessions.is_empty() { p { "None." } }
            ul.devices {
                @for session in &found.sessions {
                    @let (device, kind) = device_name(session.agent.as_deref());
                    li.device {
                        (icon(kind))
                        div { h2 { (device) } (facts(session)) }
                        form method="post" action={ "/admin/users/" (id) "/sessions/" (session.id) "/end" } {
                            button type="submit" aria-label={ "End " (device) } { "End" }
                        }
                    }
                }
            }
            @if !found.sessions.is_empty() {
                form.actions method="post" action={ "/admin/users/" (id) "/end" } {
                    button.danger type="submit" { "End all sessions of " (name) }
                }
            }
            h2 { "History of " (name) }
            (sign_ins(&found.history))
        }
    }
}
