//! The pages' HTML. The template escapes everything that is put into it.

mod admin;
mod devices;
mod entrance;
mod history;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Notice;
use super::device_name::Kind;
use crate::accounts::{Account, Role};
use crate::api::Theme;

pub(super) use admin::{Found, admin};
pub(super) use devices::{devices, list};
pub(super) use entrance::{confirm_everywhere, not_found, problem, second_factor, sign_in, sign_up};
pub(super) use history::history;

/// What a page of a signed-in user has around its content.
pub(super) struct Frame<'a> {
    pub(super) account: &'a Account,
    pub(super) theme: Theme,
    pub(super) notice: Option<Notice>,
}

impl Frame<'_> {
    fn page(self, title: &str, live: bool, content: &Markup) -> Markup {
        let link = |path: &str, text: &str| html! { a href=(path) aria-current=[(text == title).then_some("page")] { (text) } };
        let framed = html! {
            header.bar {
                span.brand { (PreEscaped(KEY)) "Account" }
                nav aria-label="Pages" {
                    (link("/", "Your devices"))
                    (link("/your-history", "History"))
                    @if self.account.role == Role::Admin { (link("/admin", "Administration")) }
                }
                span.who { "Signed in as " strong { (self.account.name) } }
                form method="post" action="/sign-out" { button type="submit" { "Sign out" } }
            }
            main {
                h1 { (title) }
                (notice(self.notice))
                (content)
            }
        };
        layout(title, self.theme, live, &framed)
    }
}

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

fn icon(kind: Kind) -> Markup {
    let svg = match kind {
        Kind::Computer => COMPUTER,
        Kind::Phone => PHONE,
        Kind::Other => OTHER,
    };
    html! { (PreEscaped(svg)) }
}

const COMPUTER: &str = r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><rect x="4" y="5" width="16" height="11" rx="1.5"/><path d="M2 19.5h20"/></svg>"#;
const PHONE: &str = r#"<svg class="icon phone" viewBox="0 0 24 24" aria-hidden="true"><rect x="7" y="2.5" width="10" height="19" rx="2"/><path d="M11 18.5h2"/></svg>"#;
const OTHER: &str = r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><rect x="3" y="4.5" width="18" height="15" rx="2"/><path d="m7 9.5 3 2.5-3 2.5M12.5 15H17"/></svg>"#;
const KEY: &str = r#"<svg class="icon key" viewBox="0 0 24 24" aria-hidden="true"><circle cx="8" cy="15" r="4.5"/><path d="m11.5 12 8.5-8.5M16 7.5l3 3M13.5 10l2 2"/></svg>"#;
