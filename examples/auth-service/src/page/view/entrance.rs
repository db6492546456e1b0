//! Pages with one form or one sentence: to sign in and up, to confirm, and what goes wrong.

use maud::{Markup, PreEscaped, html};

use super::{KEY, layout, notice};
use crate::api::Theme;
use crate::page::{Notice, SECOND_FACTOR};
use crate::sign_in::{NAME_RULE, PASSWORD_RULE};

fn entrance(title: &str, shown: Option<Notice>, content: &Markup) -> Markup {
    let content = html! {
        main.entrance {
            (PreEscaped(KEY))
            h1 { (title) }
            (notice(shown))
            (content)
        }
    };
    layout(title, Theme::System, false, &content)
}

pub(crate) fn sign_in(shown: Option<Notice>, name: &str) -> Markup {
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

pub(crate) fn sign_up(shown: Option<Notice>, name: &str) -> Markup {
    let form = html! {
        form.card method="post" action="/sign-up" {
            (name_field(name, Some("name-rule")))
            p #name-rule.hint { (NAME_RULE) }
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="new-password" required minlength="12"
                maxlength="256" aria-describedby="password-rule";
            p #password-rule.hint { (PASSWORD_RULE) }
            button.primary type="submit" { "Create account" }
        }
        p.aside { "Do you have one? " a href="/" { "Sign in" } }
    };
    entrance("Create an account", shown, &form)
}

fn name_field(name: &str, described_by: Option<&str>) -> Markup {
    html! {
        label for="name" { "E-mail address or name" }
        input #name name="name" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false" required
            maxlength="254" autofocus[name.is_empty()] aria-describedby=[described_by];
    }
}

pub(crate) fn second_factor(shown: Option<Notice>) -> Markup {
    let form = html! {
        form.card method="post" action=(SECOND_FACTOR) {
            label for="code" { "Code from your authenticator app" }
            input #code name="code" inputmode="numeric" autocomplete="one-time-code" required maxlength="10" autofocus;
            button.primary type="submit" { "Continue" }
        }
        p.aside { a href="/" { "Back to your devices" } }
    };
    entrance("Confirm that it is you", shown, &form)
}

pub(crate) fn confirm_everywhere() -> Markup {
    let form = html! {
        form.card method="post" action="/sign-out-everywhere" {
            p { "This signs you out on all devices, this one too. Apps with your account must sign in again." }
            button.primary type="submit" { "Sign out everywhere" }
        }
        p.aside { a href="/" { "Cancel" } }
    };
    entrance("Sign out everywhere?", None, &form)
}

pub(crate) fn problem(text: &'static str) -> Markup {
    entrance("That did not work", Some(Notice::Problem(text)), &back())
}

pub(crate) fn not_found() -> Markup {
    let content = html! {
        p.aside { "There is no page at this address." }
        (back())
    };
    entrance("Page not found", None, &content)
}

fn back() -> Markup {
    html! { p.aside { a href="/" { "Back to the start" } } }
}
