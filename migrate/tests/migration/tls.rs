//! Servers that take TLS alone.

use std::process::{Command, Stdio};

use redis::Commands;
use redis_session_tests::{Output, Port, Server, wait_until};
use tempfile::TempDir;

use crate::old::{HOUR, ids, live, login};
use crate::program::{Migration, Run};

/// Makes `ca.crt`, and with it `server.crt` for 127.0.0.1 and `client.crt`, with their keys.
const MAKE: &str = r"
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -subj /CN=$1 $2; }
sign() { openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $1.crt ${2-}; }
new ca '-x509 -days 2 -out ca.crt'
new server '-out server.csr'; echo subjectAltName=IP:127.0.0.1 >names; sign server '-extfile names'
new client '-out client.csr'; echo extendedKeyUsage=clientAuth >uses; sign client '-extfile uses'
";

/// A certificate authority, and what it has signed.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = TempDir::with_prefix("migrate-test-tls-").unwrap();
        let mut bash = Command::new("bash");
        let made = bash.args(["-euc", MAKE]).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// What a server needs, and whether clients must show a certificate.
    fn config(&self, port: &Port, clients: &str) -> String {
        let [ca, cert, key] = ["ca.crt", "server.crt", "server.key"].map(|name| self.file(name));
        format!(
            "tls-port {port}\ntls-ca-cert-file {ca}\ntls-cert-file {cert}\ntls-key-file {key}\ntls-auth-clients {clients}"
        )
    }

    fn cacert(&self) -> String {
        format!("--cacert {}", self.file("ca.crt"))
    }

    fn client(&self, prefix: &str) -> String {
        format!("--{prefix}cert {} --{prefix}key {}", self.file("client.crt"), self.file("client.key"))
    }

    fn cli(&self, tls_port: &Port, server: &Server, args: &[&str]) -> Output {
        let [ca, cert, key] = ["ca.crt", "client.crt", "client.key"].map(|name| self.file(name));
        let tls = ["-p", &tls_port.to_string(), "--tls", "--cacert", &ca, "--cert", &cert, "--key", &key];
        server.cli(&[&tls, args].concat())
    }

    /// Opens or closes the port without TLS: 0 is none.
    fn set_port(&self, tls_port: &Port, server: &Server, port: u16) {
        let said = self.cli(tls_port, server, &["CONFIG", "SET", "port", &port.to_string()]);
        assert_eq!(said.stdout, "OK", "{said:?}");
    }
}

const UNKNOWN: &str = "invalid peer certificate: ";

#[track_caller]
fn assert_refused(run: &Run, why: &str) {
    assert_ne!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains(why), "{why}: {run:?}");
}

#[test]
fn sessions_move_between_servers_that_take_tls_alone() {
    let (old_ca, new_ca) = (Authority::new(), Authority::new());
    let (old_port, new_port) = (Port::free(), Port::free());
    let old = Server::builder().config(old_ca.config(&old_port, "no")).start();
    let new = Server::builder().config(new_ca.config(&new_port, "yes")).start();
    login(&mut old.connection(), "token1", r#"{"user_id":42}"#, HOUR);
    old_ca.set_port(&old_port, &old, 0);
    new_ca.set_port(&new_port, &new, 0);
    let url = |scheme: &str, host: &str, port: &Port| format!("{scheme}://{host}:{port}/");
    let secure = |port: &Port| url("rediss", "127.0.0.1", port);

    // A source that must be known, and need not know anybody; the target's own certificates do not matter yet.
    let from_old = |source: String| Migration::between(source, secure(&new_port));
    let old_ca_alone = old_ca.cacert();
    assert_refused(&from_old(secure(&old_port)).run("--apply"), UNKNOWN);
    assert_refused(&from_old(secure(&old_port)).run(&format!("--apply {}", new_ca.cacert())), UNKNOWN);
    let by_name = from_old(url("rediss", "localhost", &old_port)).run(&format!("--apply {old_ca_alone}"));
    assert_refused(&by_name, "certificate not valid for name");
    let in_the_clear = from_old(url("redis", "127.0.0.1", &old_port)).run(&format!("--apply {old_ca_alone}"));
    assert_refused(&in_the_clear, &format!("127.0.0.1:{old_port}"));
    assert_refused(&from_old(secure(&old_port) + "#insecure").run("--apply"), "there is no #insecure");
    assert_refused(&from_old(secure(&old_port)).run("--apply --cacert /nowhere"), "/nowhere: No such file");
    let no_certificate = format!("--apply --cacert {}", old_ca.file("server.key"));
    assert_refused(&from_old(secure(&old_port)).run(&no_certificate), "server.key: no items found");

    // A target with another authority, which asks for a certificate.
    let migration = from_old(secure(&old_port));
    let both = format!("{old_ca_alone} --target-cacert {}", new_ca.file("ca.crt"));
    let to_new = format!("{both} {}", new_ca.client("target-"));
    assert_refused(&migration.run(&format!("--apply {old_ca_alone}")), UNKNOWN);
    assert_refused(&migration.run(&format!("--apply {both}")), &format!("127.0.0.1:{new_port}"));
    let stranger = format!("--apply {both} {}", old_ca.client(""));
    assert_refused(&migration.run(&stranger), &format!("127.0.0.1:{new_port}"));
    let dry = migration.run(&to_new);
    assert!(dry.code == 0 && dry.stdout.contains("1  would be moved"), "{dry:?}");
    migration.apply(&to_new);
    new_ca.set_port(&new_port, &new, new.port());
    assert_eq!(ids(&new, "42").len(), 1);
}

#[test]
fn one_option_makes_both_servers_speak_tls_also_the_older_one() {
    let (ca, port) = (Authority::new(), Port::free());
    let server = Server::builder().config(ca.config(&port, "yes")).config("tls-protocols TLSv1.2").start();
    login(&mut server.connection(), "token1", r#"{"user_id":42}"#, HOUR);
    ca.set_port(&port, &server, 0);
    let url = format!("redis://127.0.0.1:{port}/");
    let migration = Migration::between(url.clone(), url);
    migration.apply(&format!("--tls {} {} --delete-moved", ca.cacert(), ca.client("")));
    ca.set_port(&port, &server, server.port());
    assert_eq!(ids(&server, "42").len(), 1);
    assert_eq!(server.connection().exists("session:token1"), Ok(false));
}

#[test]
fn without_a_file_those_are_believed_whom_the_system_trusts() {
    let (ca, stranger, port) = (Authority::new(), Authority::new(), Port::free());
    let server = Server::builder().config(ca.config(&port, "no")).start();
    login(&mut server.connection(), "token1", r#"{"user_id":42}"#, HOUR);
    let url = format!("rediss://127.0.0.1:{port}/");
    let migration = || Migration::between(url.clone(), url.clone());
    assert_refused(&migration().trusting(stranger.file("ca.crt")).run(""), UNKNOWN);
    let trusted = migration().trusting(ca.file("ca.crt"));
    assert_refused(&trusted.run(&stranger.cacert()), UNKNOWN);
    trusted.apply("");
}

#[test]
fn all_nodes_of_a_cluster_are_reached_with_tls() {
    let ca = Authority::new();
    let nodes: Vec<_> = (0..3)
        .map(|_| {
            let port = Port::free();
            let cluster = "cluster-enabled yes\ntls-cluster yes\ncluster-node-timeout 5000";
            (Server::builder().keys(&["one"]).config(ca.config(&port, "no")).config(cluster).start(), port)
        })
        .collect();
    let addresses: Vec<_> = nodes.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
    let create: Vec<_> =
        ["--cluster-yes", "--cluster", "create"].into_iter().chain(addresses.iter().map(|it| &**it)).collect();
    let (first, port) = &nodes[0];
    let made = ca.cli(port, first, &create);
    assert!(made.stdout.contains("All 16384 slots covered"), "{made:?}");
    for (node, _) in &nodes {
        wait_until("the cluster is well", || node.cli(&["CLUSTER", "INFO"]).stdout.contains("cluster_state:ok"));
    }
    let mut con = redis::cluster::ClusterClient::new([first.url()]).unwrap().get_connection().unwrap();
    for n in 0..30 {
        let () = con.set_ex(format!("session:token{n}"), format!(r#"{{"uid":"{n}"}}"#), HOUR).unwrap();
    }
    for (node, port) in &nodes {
        ca.set_port(port, node, 0);
    }
    let url = format!("rediss://127.0.0.1:{port}/");
    Migration::between(url.clone(), url).apply(&ca.cacert());
    for (node, port) in &nodes {
        ca.set_port(port, node, node.port());
        assert!(live(node) > 0, "each has some of the users");
    }
    assert_eq!(nodes.iter().map(|(node, _)| live(node)).sum::<usize>(), 30);
}
