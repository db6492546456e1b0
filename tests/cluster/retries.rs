//! A command whose answer is lost with its connection is done, and the cluster's connection sends it again.

use std::collections::HashMap;

use redis_session::redis::RedisResult;
use redis_session::redis::cluster::{ClusterClient, ClusterConnection, NodeAddress};
use redis_session::{
    CreateOptions, Created, Grant, Reason, RefreshOptions, RegenerateOptions, SessionCommands, SessionErrorCode,
    TokenFormat, ValidateOptions,
};
use redis_session_tests::issuer::foreign;
use redis_session_tests::{Cluster, cmd};

use crate::nodes::start;
use crate::proxy::Proxy;

const KEY: &str = "sessions:42";

/// A cluster behind proxies.
struct Lossy {
    cluster: Cluster,
    proxies: Vec<Proxy>,
}

impl Lossy {
    fn start() -> Self {
        let cluster = start("");
        let proxies = cluster.nodes().iter().map(|node| Proxy::before(node.port())).collect();
        Self { cluster, proxies }
    }

    fn connection(&self, retries: u32) -> ClusterConnection {
        let address = |port| NodeAddress::new("127.0.0.1", port);
        let ports = self.cluster.nodes().iter().map(|node| node.port()).zip(self.proxies.iter().map(Proxy::port));
        let map: HashMap<_, _> = ports.map(|(node, proxy)| (address(node), address(proxy))).collect();
        let builder = ClusterClient::builder(self.cluster.urls()).node_address_map(map);
        builder.retries(retries).build().unwrap().get_connection().unwrap()
    }

    /// Sends a command whose answer is lost once.
    #[track_caller]
    fn lose<T>(&self, command: &str, send: impl FnOnce() -> RedisResult<T>) -> RedisResult<T> {
        let proxy = &self.proxies[self.cluster.primary_of(self.cluster.slot_of(KEY))];
        let before = proxy.lost();
        proxy.lose_answer_to(command);
        let result = send();
        assert_eq!(proxy.lost(), before + 1, "the answer to {command} was not lost");
        result
    }
}

fn login(con: &mut ClusterConnection) -> Created {
    con.session_create(KEY, &CreateOptions::new().refreshable()).unwrap()
}

#[track_caller]
fn reason(con: &mut ClusterConnection, token: Option<String>) -> Option<Reason> {
    let validation = con.session_validate(KEY, token.unwrap(), &ValidateOptions::new()).unwrap();
    validation.reason().map(|reason| reason.known().unwrap())
}

// One cluster for all of them: it takes longer to start than they do to run.
#[test]
fn what_a_command_does_that_is_sent_again_after_its_answer_was_lost() {
    let lossy = Lossy::start();
    let con = &mut lossy.connection(16);
    a_login_is_made_twice(&lossy, con);
    a_login_with_an_id_of_its_own_is_made_once(&lossy, con);
    a_login_with_a_jwt_is_made_once(&lossy, con);
    without_retries_the_error_reaches_the_application(&lossy);
    a_logout_is_a_success(&lossy, con);
    a_logout_everywhere_ends_a_login_in_between(&lossy, con);
    a_refresh_gets_the_same_tokens(&lossy, con);
    a_regenerated_session_is_out_of_reach(&lossy, con);
    data_is_set_as_it_was_meant(&lossy, con);
}

fn a_login_is_made_twice(lossy: &Lossy, con: &mut ClusterConnection) {
    let login = lossy.lose("SESSION.CREATE", || con.session_create(KEY, &CreateOptions::new())).unwrap();
    assert_eq!(reason(con, login.token), None);
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 2);
}

fn a_login_with_an_id_of_its_own_is_made_once(lossy: &Lossy, con: &mut ClusterConnection) {
    let options = CreateOptions::new().id("0e37df36-f698-11e6-8dd4-cb9ced3df976");
    let error = lossy.lose("SESSION.CREATE", || con.session_create(KEY, &options)).unwrap_err();
    assert_eq!(SessionErrorCode::of(&error), Some(SessionErrorCode::SessionExists));
    assert_eq!(con.session_count(KEY).unwrap(), 1);
    // Its tokens are lost with the answer; this makes new ones.
    let Grant::Granted(login) =
        con.session_regenerate(KEY, "0e37df36-f698-11e6-8dd4-cb9ced3df976", &RegenerateOptions::new()).unwrap()
    else {
        panic!("the session is not there")
    };
    assert_eq!(reason(con, login.token), None);
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
}

fn a_login_with_a_jwt_is_made_once(lossy: &Lossy, con: &mut ClusterConnection) {
    let jwt = con.session_create(KEY, &CreateOptions::new().token(TokenFormat::Jwt)).unwrap().token.unwrap();
    let jwt = foreign(&jwt);
    cmd(con, &format!("DEL {KEY}")).unwrap();
    let error = lossy.lose("SESSION.CREATE", || con.session_register(KEY, &jwt, &CreateOptions::new())).unwrap_err();
    assert_eq!(SessionErrorCode::of(&error), Some(SessionErrorCode::SessionExists));
    assert_eq!(reason(con, Some(jwt)), None);
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
}

fn without_retries_the_error_reaches_the_application(lossy: &Lossy) {
    let con = &mut lossy.connection(0);
    let error = lossy.lose("SESSION.CREATE", || con.session_create(KEY, &CreateOptions::new())).unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    let con = &mut lossy.connection(0);
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
}

fn a_logout_is_a_success(lossy: &Lossy, con: &mut ClusterConnection) {
    let login = login(con);
    assert_eq!(lossy.lose("SESSION.REVOKE", || con.session_revoke(KEY, &login.id)).unwrap(), 0);
    assert_eq!(reason(con, login.token), Some(Reason::Revoked));
}

fn a_logout_everywhere_ends_a_login_in_between(lossy: &Lossy, con: &mut ClusterConnection) {
    let before = login(con);
    assert_eq!(lossy.lose("SESSION.REVOKEUSER", || con.session_revoke_user(KEY)).unwrap(), 0);
    assert_eq!(reason(con, before.token), Some(Reason::UserRevoked));
    let between = login(con);
    assert_eq!(reason(con, between.token.clone()), None);
    // As the application would that got an error and sends it again by itself.
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
    assert_eq!(reason(con, between.token), Some(Reason::UserRevoked));
}

fn a_refresh_gets_the_same_tokens(lossy: &Lossy, con: &mut ClusterConnection) {
    let login = login(con);
    let refresh_token = login.refresh_token.unwrap();
    let again = lossy.lose("SESSION.REFRESH", || con.session_refresh(KEY, &refresh_token, &RefreshOptions::new()));
    let Grant::Granted(again) = again.unwrap() else { panic!("it was taken for theft") };
    let third = con.session_refresh(KEY, &refresh_token, &RefreshOptions::new()).unwrap().granted().unwrap();
    assert_eq!(again.refresh_token, third.refresh_token);
    assert_eq!(reason(con, again.token), None);
    let next = con.session_refresh(KEY, again.refresh_token.unwrap(), &RefreshOptions::new()).unwrap();
    assert!(next.is_granted());
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
}

fn a_regenerated_session_is_out_of_reach(lossy: &Lossy, con: &mut ClusterConnection) {
    let login = login(con);
    let grant =
        lossy.lose("SESSION.REGENERATE", || con.session_regenerate(KEY, &login.id, &RegenerateOptions::new())).unwrap();
    assert_eq!(grant.reason().map(|reason| reason.known().unwrap()), Some(Reason::Revoked));
    // It lives on under an id that nobody knows but SESSION.LIST.
    assert_eq!(con.session_count(KEY).unwrap(), 1);
    let id = con.session_list(KEY).unwrap().remove(0).id;
    assert!(con.session_regenerate(KEY, id, &RegenerateOptions::new()).unwrap().is_granted());
    assert_eq!(con.session_revoke_user(KEY).unwrap(), 1);
}

fn data_is_set_as_it_was_meant(lossy: &Lossy, con: &mut ClusterConnection) {
    let login = login(con);
    assert_eq!(lossy.lose("SESSION.SET", || con.session_set(KEY, &login.id, [("cart", "17")])).unwrap(), 1);
    assert_eq!(lossy.lose("SESSION.UNSET", || con.session_unset(KEY, &login.id, "cart")).unwrap(), 0);
    assert!(
        lossy
            .lose("SESSION.TOUCH", || con.session_touch(KEY, login.token.unwrap(), &ValidateOptions::new()))
            .unwrap()
            .is_active()
    );
}
