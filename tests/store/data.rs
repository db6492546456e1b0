//! What an application keeps with a session: typed, and sealed if it wants.

use std::collections::HashMap;

use redis_session::{CreateOptions, DataError, DataKeys, Login, Policy, StoreError, TokenKind};
use redis_session_tests::{Server, ServerBuilder, cmd_args, text};
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

fn keys() -> DataKeys {
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
    assert!(matches!(&error, StoreError::Data(DataError::Sealed { field }) if field == "name"), "{error:?}");
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
    let renewed = after.regenerate(token(&created)).await.unwrap();
    assert_eq!(after.data("42", &renewed.id).await.unwrap(), Some(profile()));
    let only_new = plain.encrypt(DataKeys::new("two", [2; 32]).unwrap());
    assert_eq!(only_new.data("42", &renewed.id).await.unwrap(), Some(profile()), "sealed anew, with the first key");
    assert_eq!(verdict(&only_new, token(&renewed)).await, "active");
}

/// Sealed data need the id before the session begins. It is one as the server makes them.
#[tokio::test]
async fn a_login_with_sealed_data_is_like_any_other() {
    let server = Server::start();
    let policy = Policy::new(CreateOptions::new().token(TokenKind::Opaque));
    let store: Store = store(&server).await.policy(policy).encrypt(keys());
    let sealed = store.login(&Login::new("42").data(&profile()).unwrap()).await.unwrap();
    let plain = login(&store, "42").await;
    assert_eq!(sealed.id.len(), plain.id.len());
    assert_ne!(sealed.id, plain.id);
    assert_eq!(verdict(&store, token(&sealed)).await, "active");
}
