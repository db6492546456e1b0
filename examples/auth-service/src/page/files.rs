//! The page's own files, in the program itself.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::app::App;

const FILES: [(&str, &str, &str); 3] = [
    ("/static/style.css", "text/css; charset=utf-8", include_str!("../../static/style.css")),
    ("/static/live.js", "text/javascript; charset=utf-8", include_str!("../../static/live.js")),
    ("/static/icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
];

pub(crate) fn files() -> Router<App> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=300")];
        router.route(path, get(move || async move { (headers, text) }))
    })
}
