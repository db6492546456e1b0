//! What the benchmarks share: the commands that session libraries send.

/// A session library, and the commands it sends for one request of a user who is logged in. It reads the session and moves
/// its expiry, each command in a round trip of its own.
///
/// The commands are those that MONITOR shows, or, for Spring Session, that the library's own tests expect. None of these
/// libraries checks a signed token, knows a user's sessions or can end them all.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Its name and version, and the setting that moves the expiry at each request if that is not its default.
    pub name: &'static str,
    /// What makes the session.
    pub login: &'static [&'static str],
    /// What a request sends.
    pub request: &'static [&'static [&'static str]],
}

const TOWER: &str = "Zl3nVb8Tq0mJ5hXc2RkYwA";
const ACTIX: &str = "k3YdWq8RzT1mVb6NcXf0JhL5pGs2Ae9UiOo4Bw7EtDyHrMaQjKuPvSxZlCgFnI3T";
const CONNECT: &str = "sess:Jfl76t7tJKPHxTH08lQR7Ufo6WAIkuAN";
const SPRING: &str = "spring:session:sessions:5f0d1c9e-7b1a-4a53-9f0e-2a6d8c4b7e11";
const DJANGO: &str = ":1:django.contrib.sessions.cacheu7t0futpyttydtpy2yo24p7s4m1z0afu";
/// The same facts in each: a user, an address, a user agent. MessagePack and pickle are as long as these texts.
const FACTS: &str = r#"{"user":"42","ip":"203.0.113.9","agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}"#;
const WITH_COOKIE: &str = r#"{"cookie":{"originalMaxAge":86400000,"expires":"2026-11-29T14:29:57.283Z","httpOnly":true,"path":"/"},"user":{"id":42,"ip":"203.0.113.9","agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}"#;

/// The libraries that this module is compared with.
pub const LIBRARIES: [Library; 5] = [
    Library {
        name: "actix-session 0.11, OnEveryRequest",
        login: &["SET", ACTIX, FACTS, "NX", "EX", "86400"],
        request: &[&["GET", ACTIX], &["EXPIRE", ACTIX, "86400"]],
    },
    Library {
        name: "tower-sessions 0.15, always_save",
        login: &["SET", TOWER, FACTS, "EXAT", LATER, "NX"],
        request: &[&["GET", TOWER], &["SET", TOWER, FACTS, "EXAT", LATER, "XX"]],
    },
    Library {
        name: "connect-redis 9",
        login: &["SET", CONNECT, WITH_COOKIE, "EX", "86400"],
        request: &[&["GET", CONNECT], &["EXPIRE", CONNECT, "86400"]],
    },
    Library {
        name: "django-redis 7, SAVE_EVERY_REQUEST",
        login: &["SET", DJANGO, FACTS, "PX", "1209600000"],
        request: &[&["GET", DJANGO], &["GET", DJANGO], &["SET", DJANGO, FACTS, "PX", "1209600000"]],
    },
    Library {
        name: "Spring Session 3",
        login: &[
            "HSET",
            SPRING,
            "creationTime",
            "1764288000000",
            "maxInactiveInterval",
            "1800",
            "lastAccessedTime",
            "1764288000000",
            "sessionAttr:facts",
            FACTS,
        ],
        request: &[
            &["HGETALL", SPRING],
            &["EXISTS", SPRING],
            &["HMSET", SPRING, "lastAccessedTime", "1764288000001"],
            &["PEXPIREAT", SPRING, "4102444800000"],
        ],
    },
];
/// In the year 2100.
const LATER: &str = "4102444800";
