//! What an application keeps with a session: typed, and sealed if it wants.

use std::collections::HashMap;
use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, Value};
use redis_session::{CreateOptions, Created, RegenerateOptions, TokenFormat};
use redis_session_store::{
    DataError, DataKeys, Login, Policy, ReconnectingConnection, Resealing, SessionStore, StoreError,
};
use redis_session_tests::{Server, ServerBuilder, amount, cmd, cmd_args, text};
use serde::{Deserialize, Serialize};

use crate::{Store, login, store, token, verdict};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Profile {
    name: String,
    visits: u32,
    tags: Vec<String>,
    note: Option<String>,
}

fn profile() -> Profile {
    Profile { name: "Zoë".into(), visits: 7, tags: vec!["a".into(), "b".into()], note: None }
}

pub(crate) fn keys() -> DataKeys {
    DataKeys::new("one", [1; 32]).unwrap()
}

#[tokio::test]
async fn data_are_read_as_they_were_written() {
    let server = Server::start();
    for store in [store(&server).await, store(&server).await.encrypt(keys())] {
        let created = store.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap();
        assert_eq!(store.data("42", &created.id).await.unwrap(), Some(profile()));
        let changed = Profile { visits: 8, note: Some("x".into()), ..profile() };
        store.set_data("42", &created.id, &changed).await.unwrap();
        assert_eq!(store.data("42", &created.id).await.unwrap(), Some(changed));
        store.set_data("42", &created.id, &HashMap::from([("visits", 9)])).await.unwrap();
        let profile: Profile = store.data("42", &created.id).await.unwrap().unwrap();
        assert_eq!((profile.visits, profile.name.as_str()), (9, "Zoë"), "other fields stay");
        assert_eq!(store.remove_data("42", &created.id, &["visits", "none"]).await.unwrap(), 1);
        assert_eq!(store.remove_data("42", &created.id, &[]).await.unwrap(), 0);
        let incomplete = store.data::<Profile>("42", &created.id).await.unwrap_err();
        assert!(matches!(incomplete, StoreError::Data(DataError::Json(_))), "{incomplete:?}");
    }
}

#[tokio::test]
async fn a_session_that_has_ended_has_no_data_and_gets_none() {
    let server = Server::start();
    let store = store(&server).await;
    let created = login(&store, "42").await;
    store.logout(token(&created)).await.unwrap();
    assert_eq!(store.data::<Profile>("42", &created.id).await.unwrap(), None);
    assert!(matches!(store.set_data("42", &created.id, &profile()).await, Err(StoreError::NoSession)));
    assert!(matches!(store.remove_data("42", &created.id, &["name"]).await, Err(StoreError::NoSession)));
    assert_eq!(store.count("42").await.unwrap(), 0);
}

#[tokio::test]
async fn what_others_have_set_as_text_is_a_string() {
    let server = Server::start();
    let store = store(&server).await;
    let created = login(&store, "42").await;
    let set = ["SESSION.SET", "sessions:42", &created.id, "name", "Zoë", "visits", "7", "tags", "[]"];
    cmd_args(&mut server.connection(), set).unwrap();
    let profile: Profile = store.data("42", &created.id).await.unwrap().unwrap();
    assert_eq!(profile, Profile { name: "Zoë".into(), visits: 7, ..Profile::default() });
}

#[tokio::test]
async fn what_has_no_names_is_no_data() {
    assert!(matches!(Login::new("42").data("text"), Err(StoreError::Data(DataError::NoFields))));
    assert!(matches!(Login::new("42").data(&[1, 2]), Err(StoreError::Data(DataError::NoFields))));
}

#[tokio::test]
async fn redis_and_its_files_see_no_plaintext() {
    let mut server = ServerBuilder::new().keys(&["one"]).appendonly().start();
    let store = store(&server).await.encrypt(keys());
    let secret = Profile { name: "a most secret name".into(), ..profile() };
    let created = store.login(&Login::new("42").data(&secret).unwrap()).await.unwrap();
    store.set_data("42", &created.id, &HashMap::from([("note", "another secret name")])).await.unwrap();
    let seen = format!("{:?}", cmd_args(&mut server.connection(), ["SESSION.LIST", "sessions:42"]).unwrap());
    assert!(!seen.contains("secret name"));
    server.shutdown("SAVE");
    let mut files = 0;
    for folder in [server.dir().to_owned(), server.dir().join("appendonlydir")] {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(11).any(|part| part == b"secret name"), "{}", file.display());
            files += usize::from(bytes.windows(4).any(|part| part == b"note"));
        }
    }
    assert!(files > 0, "the field is in none of the files");
    server.start_again();
    let store = crate::store(&server).await.encrypt(keys());
    let opened: Profile = store.data("42", &created.id).await.unwrap().unwrap();
    assert_eq!((opened.name.as_str(), opened.note.as_deref()), ("a most secret name", Some("another secret name")));
}

#[tokio::test]
async fn a_sealed_field_opens_in_its_place_alone() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    let mut ids = Vec::new();
    for user in ["42", "43"] {
        ids.push(store.login(&Login::new(user).data(&profile()).unwrap()).await.unwrap().id);
    }
    let mut con = server.connection();
    let stolen = store.session("43", &ids[1]).await.unwrap().unwrap();
    let put = |name: &str, value: &[u8]| {
        redis::cmd("SESSION.SET")
            .arg("sessions:42")
            .arg(&ids[0])
            .arg(name)
            .arg(value)
            .exec(&mut server.connection())
            .unwrap();
    };
    put("name", stolen.data.get("name").unwrap());
    let error = store.data::<Profile>("42", &ids[0]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Data(DataError::Sealed)), "{error:?}");
    put("name", b"\"plain\"");
    assert!(store.data::<Profile>("42", &ids[0]).await.is_err(), "what was not sealed is not believed");
    assert!(text(&cmd_args(&mut con, ["PING"]).unwrap()).contains("PONG"));
}

#[tokio::test]
async fn sealed_data_outlive_a_new_id_and_a_new_key() {
    let server = Server::start();
    let plain = store(&server).await;
    let before = plain.clone().encrypt(keys());
    let created = before.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap();
    let after = plain.clone().encrypt(DataKeys::new("two", [2; 32]).unwrap().older("one", [1; 32]).unwrap());
    assert_eq!(after.data("42", &created.id).await.unwrap(), Some(profile()));
    let renewed = after.regenerate(token(&created), &RegenerateOptions::new()).await.unwrap();
    assert_eq!(after.data("42", &renewed.id).await.unwrap(), Some(profile()));
    let only_new = plain.encrypt(DataKeys::new("two", [2; 32]).unwrap());
    assert_eq!(only_new.data("42", &renewed.id).await.unwrap(), Some(profile()), "sealed again, with the first key");
    assert_eq!(verdict(&only_new, token(&renewed)).await, "active");
}

/// Sealed data need the id before the session begins. It is one as the server makes them.
#[tokio::test]
async fn a_login_with_sealed_data_is_like_any_other() {
    let server = Server::start();
    let policy = Policy::new(CreateOptions::new().token(TokenFormat::Opaque));
    let store: Store = store(&server).await.policy(policy).encrypt(keys());
    let sealed = store.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap();
    let plain = login(&store, "42").await;
    assert_eq!(sealed.id.len(), plain.id.len());
    assert_ne!(sealed.id, plain.id);
    assert_eq!(verdict(&store, token(&sealed)).await, "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_at_once_none_is_lost() {
    let server = Server::start();
    for store in [store(&server).await, store(&server).await.encrypt(keys())] {
        let created = store.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap();
        let writers = 64;
        let each = u32::try_from(amount("REDIS_TEST_COMMANDS", 128)).unwrap().div_ceil(writers);
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let (store, id) = (store.clone(), created.id.clone());
            tasks.spawn(async move {
                for n in 0..each {
                    let change = |profile: &mut Profile| {
                        profile.visits += 1;
                        profile.note = Some(format!("{writer} {n}"));
                        profile.visits
                    };
                    store.update_data("42", &id, change).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let profile: Profile = store.data("42", &created.id).await.unwrap().unwrap();
        assert_eq!(profile.visits, 7 + writers * each);
    }
}

#[tokio::test]
async fn an_update_leaves_other_fields_alone_and_makes_no_session() {
    let server = Server::start();
    let store = store(&server).await;
    let created = store.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap();
    store.set_data("42", &created.id, &HashMap::from([("theme", "dark")])).await.unwrap();
    let version = || async { store.session("42", &created.id).await.unwrap().unwrap().version };
    let before = version().await;
    let same = store.update_data("42", &created.id, |profile: &mut Profile| profile.visits).await.unwrap();
    assert_eq!((same, version().await), (7, before), "nothing was changed, so nothing is written");
    store.update_data("42", &created.id, |profile: &mut Profile| profile.visits = 8).await.unwrap();
    let theme: HashMap<String, serde_json::Value> = store.data("42", &created.id).await.unwrap().unwrap();
    assert_eq!((theme["theme"].as_str(), theme["visits"].as_u64()), (Some("dark"), Some(8)));
    store.logout(token(&created)).await.unwrap();
    let dead = store.update_data("42", &created.id, |profile: &mut Profile| profile.visits = 9).await;
    assert!(matches!(dead, Err(StoreError::NoSession)), "{dead:?}");
}

/// Somebody else changes a field while the data are sealed for the new id.
#[tokio::test]
async fn what_is_set_while_data_are_sealed_for_a_new_id_is_not_undone() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    let created = login_with_data(&store).await;
    let (url, set) = (server.url(), std::sync::atomic::AtomicBool::new(false));
    let racing = watched(&server, move |command| {
        if command == "SESSION.SET" && !set.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let mut con = redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
            let listed = redis_session_tests::ids(&mut con, "sessions:42");
            cmd(&mut con, &format!("SESSION.UNSET sessions:42 {} note", listed[0])).unwrap();
        }
        Ok(())
    });
    let renewed = racing.await.regenerate(token(&created), &RegenerateOptions::new()).await.unwrap();
    let session = store.session("42", &renewed.id).await.unwrap().unwrap();
    assert_eq!(session.data.get("note"), None, "it stays removed");
    let left: HashMap<String, serde_json::Value> = store.data("42", &renewed.id).await.unwrap().unwrap();
    assert_eq!((left["visits"].as_u64(), left.len()), (Some(7), 3));
}

type Before = dyn Fn(&str) -> RedisResult<()> + Send + Sync;

/// A connection that something happens on before each command is sent, or in its stead.
#[derive(Clone)]
pub(crate) struct Watched<C> {
    inner: C,
    before: Arc<Before>,
}

impl<C: ConnectionLike + Send> ConnectionLike for Watched<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let Some(redis::Arg::Simple(name)) = cmd.args_iter().next() else { panic!("a command without a name") };
        let before = (self.before)(std::str::from_utf8(name).unwrap());
        Box::pin(async move {
            before?;
            self.inner.req_packed_command(cmd).await
        })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        panic!("a store sends no pipelines")
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

pub(crate) async fn watched(
    server: &Server,
    before: impl Fn(&str) -> RedisResult<()> + Send + Sync + 'static,
) -> SessionStore<Watched<MultiplexedConnection>> {
    let inner = server.client().get_multiplexed_async_connection().await.unwrap();
    SessionStore::new(Watched { inner, before: Arc::new(before) }).encrypt(keys())
}

async fn login_with_data(store: &Store) -> Created {
    store.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap()
}

/// What is left to do, whose new token is good.
async fn left(store: &Store, renewed: Result<Created, StoreError>) -> Resealing {
    let error = renewed.unwrap_err();
    let shown = format!("{error:?} {error}");
    let StoreError::Resealing(left) = error else { panic!("{shown}") };
    assert_eq!(verdict(store, token(&left.created)).await, "active", "the new tokens are good");
    assert!(!shown.contains(token(&left.created)), "{shown}");
    *left
}

#[tokio::test]
async fn what_is_set_just_before_a_new_id_is_not_lost() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    let created = login_with_data(&store).await;
    let (client, id) = (server.client(), created.id.clone());
    let racing = watched(&server, move |command| {
        if command == "SESSION.REGENERATE" {
            let (client, id) = (client.clone(), id.clone());
            let setting = async move {
                let other = SessionStore::new(client.get_multiplexed_async_connection().await.unwrap()).encrypt(keys());
                other.set_data("42", &id, &HashMap::from([("visits", 8)])).await.unwrap();
            };
            // This thread is in the middle of a call.
            let runtime = tokio::runtime::Runtime::new().unwrap();
            std::thread::spawn(move || runtime.block_on(setting)).join().unwrap();
        }
        Ok(())
    });
    let renewed = racing.await.regenerate(token(&created), &RegenerateOptions::new()).await.unwrap();
    assert_eq!(store.data("42", &renewed.id).await.unwrap(), Some(Profile { visits: 8, ..profile() }));
}

#[tokio::test]
async fn new_tokens_are_not_lost_where_their_data_cannot_be_sealed() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    let created = login_with_data(&store).await;
    cmd(&mut server.connection(), "ACL SETUSER app on >word ~* +@all -session.set").unwrap();
    let url = server.url().replace("redis://", "redis://app:word@");
    let app = SessionStore::connect(url).unwrap().encrypt(keys());

    let left = left(&store, app.regenerate(token(&created), &RegenerateOptions::new()).await).await;
    assert!(matches!(left.cause, StoreError::Redis(_)), "{left:?}");
    assert_eq!((left.user.as_str(), &left.old_id), ("42", &created.id));
    let error = app.data::<Profile>("42", &left.created.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Data(DataError::Sealed)), "not before they are sealed: {error:?}");
    assert!(app.reseal("42", &left.old_id, &left.created.id).await.is_err());

    // What is set meanwhile is newer.
    store.set_data("42", &left.created.id, &HashMap::from([("visits", 8)])).await.unwrap();
    cmd(&mut server.connection(), "ACL SETUSER app +session.set").unwrap();
    app.reseal("42", &left.old_id, &left.created.id).await.unwrap();
    let expected = Some(Profile { visits: 8, ..profile() });
    assert_eq!(app.data("42", &left.created.id).await.unwrap(), expected);

    let before = store.session("42", &left.created.id).await.unwrap().unwrap().data;
    app.reseal("42", &left.old_id, &left.created.id).await.unwrap();
    assert_eq!(store.session("42", &left.created.id).await.unwrap().unwrap().data, before, "a second time is none");
    store.logout_everywhere("42").await.unwrap();
    let ended = app.reseal("42", &left.old_id, &left.created.id).await;
    assert!(matches!(ended, Err(StoreError::NoSession)), "{ended:?}");
}

#[tokio::test]
async fn new_tokens_outlive_a_crash_before_their_data_are_sealed() {
    let server = ServerBuilder::new().keys(&["one"]).appendonly().config("appendfsync always").start();
    let created = login_with_data(&store(&server).await.encrypt(keys())).await;
    let inner = ReconnectingConnection::new(server.url()).unwrap();
    let server = Arc::new(std::sync::Mutex::new(server));
    let killing = Arc::clone(&server);
    let before = Arc::new(move |command: &str| {
        if command == "SESSION.SET" {
            killing.lock().unwrap().kill();
        }
        Ok(())
    });
    let renewed = SessionStore::new(Watched { inner: inner.clone(), before })
        .encrypt(keys())
        .regenerate(token(&created), &RegenerateOptions::new())
        .await;
    let mut server = Arc::into_inner(server).unwrap().into_inner().unwrap();
    server.start_again();
    let again = store(&server).await.encrypt(keys());
    let left = left(&again, renewed).await;
    assert!(matches!(left.cause, StoreError::Unavailable(_)), "{left:?}");
    let store = SessionStore::new(inner).encrypt(keys());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while let Err(error) = store.reseal("42", &left.old_id, &left.created.id).await {
        assert!(matches!(error, StoreError::Unavailable(_)) && std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(store.data("42", &left.created.id).await.unwrap(), Some(profile()));
}

#[tokio::test]
async fn sealing_is_tried_again_where_a_connection_breaks() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    for breaks in ["SESSION.GET", "SESSION.SET"] {
        let created = login_with_data(&store).await;
        let broken = std::sync::atomic::AtomicBool::new(false);
        let breaking = watched(&server, move |command| {
            match command == breaks && !broken.swap(true, std::sync::atomic::Ordering::Relaxed) {
                true => Err((ErrorKind::Io, "a broken connection").into()),
                false => Ok(()),
            }
        });
        let renewed = breaking.await.regenerate(token(&created), &RegenerateOptions::new()).await.unwrap();
        assert_eq!(store.data("42", &renewed.id).await.unwrap(), Some(profile()), "{breaks}");
    }
}

#[tokio::test]
async fn a_field_sealed_with_an_unknown_key_waits_for_a_store_that_has_it() {
    let server = Server::start();
    let plain = store(&server).await;
    let one = plain.clone().encrypt(keys());
    let two = plain.clone().encrypt(DataKeys::new("two", [2; 32]).unwrap());
    let both = plain.encrypt(DataKeys::new("two", [2; 32]).unwrap().older("one", [1; 32]).unwrap());
    let created = login_with_data(&one).await;
    two.set_data("42", &created.id, &HashMap::from([("note", "x")])).await.unwrap();

    let left = left(&one, one.regenerate(token(&created), &RegenerateOptions::new()).await).await;
    let cause = &left.cause;
    assert!(matches!(cause, StoreError::Data(DataError::Sealed)), "{left:?}");
    both.reseal("42", &left.old_id, &left.created.id).await.unwrap();
    let expected = Some(Profile { note: Some("x".into()), ..profile() });
    assert_eq!(both.data("42", &left.created.id).await.unwrap(), expected);
    // The others were sealed for the new id without it: with the key that was the first then.
    two.remove_data("42", &left.created.id, &["note"]).await.unwrap();
    assert_eq!(one.data("42", &left.created.id).await.unwrap(), Some(profile()));
}

#[tokio::test]
async fn data_of_another_session_are_not_sealed_again() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    let (created, other) = (login_with_data(&store).await, login_with_data(&store).await);
    let stolen = store.session("42", &other.id).await.unwrap().unwrap();
    let mut set = redis::cmd("SESSION.SET");
    set.arg("sessions:42").arg(&created.id).arg("name").arg(stolen.data.get("name").unwrap());
    set.exec(&mut server.connection()).unwrap();
    let left = left(&store, store.regenerate(token(&created), &RegenerateOptions::new()).await).await;
    assert!(matches!(&left.cause, StoreError::Data(DataError::Sealed)), "{left:?}");
}

#[tokio::test]
async fn a_session_that_ends_while_it_gets_a_new_id_is_no_error() {
    let server = Server::start();
    let store = store(&server).await.encrypt(keys());
    let created = login_with_data(&store).await;
    let url = server.url();
    let ending = watched(&server, move |command| {
        if command == "SESSION.GET" {
            let mut con = redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
            cmd(&mut con, "SESSION.REVOKEUSER sessions:42").unwrap();
        }
        Ok(())
    });
    let renewed = ending.await.regenerate(token(&created), &RegenerateOptions::new()).await.unwrap();
    assert_eq!(verdict(&store, token(&renewed)).await, "user_revoked");
}
