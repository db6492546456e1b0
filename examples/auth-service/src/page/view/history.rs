//! A user's sign-ins.

use maud::{Markup, html};

use super::{Frame, icon};
use crate::history::Entry;
use crate::page::device_name::device_name;
use crate::page::when::ago;
use crate::reasons;

pub(crate) fn history(frame: Frame<'_>, entries: &[Entry]) -> Markup {
    let content = html! {
        p { "Where you signed in during the last 90 days, and how it ended." }
        (sign_ins(entries))
    };
    frame.page("History", false, &content)
}

pub(super) fn sign_ins(entries: &[Entry]) -> Markup {
    html! {
        @if entries.is_empty() { p.hint { "Nothing is known yet." } }
        ul.devices {
            @for entry in entries {
                @let (name, kind) = device_name(entry.agent.as_deref());
                li.device {
                    (icon(kind))
                    div {
                        h2 { (name) }
                        dl {
                            div { dt { "Address" } dd { (entry.ip.as_deref().unwrap_or("unknown")) } }
                            div { dt { "Signed in" } dd { (ago(entry.began)) } }
                            @if let Some(ended) = entry.ended {
                                div { dt { (reasons::ending(entry.reason.as_deref())) } dd { (ago(ended)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
