//! docs/runbooks/partition.md

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use redis_session_tests::{Server, cmd, login, verdict, wait_until};

use super::node;
use crate::load::{Load, Losses};

/// A cable between a replica and its primary. Cut, it loses all that is sent, and both ends stay open.
struct Cable {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Cable {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let (state, to) = (Arc::clone(&is_cut), server.port());
        thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let Ok(there) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
                carry(here.try_clone().unwrap(), there.try_clone().unwrap(), Arc::clone(&state));
                carry(there, here, Arc::clone(&state));
            }
        });
        Self { port, is_cut }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if !is_cut.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
    });
}

#[test]
fn a_cut_off_primary_stops_taking_writes_and_a_logout_that_waited_is_not_undone() {
    let settings = "min-replicas-to-write 1\nmin-replicas-max-lag 3";
    let primary = node().config(settings).start();
    let cable = Cable::to(&primary);
    let replica = node().config(format!("replicaof 127.0.0.1 {}", cable.port)).start();
    primary.wait_for_sync(&replica);
    let mut con = primary.connection();
    wait_until("the replica counts", || cmd(&mut con, "SESSION.CREATE sessions:1").is_ok());
    let load = Load::start(&[primary.url()]);
    let waiting = Load::that_waits(&[primary.url()]);
    let marked = Instant::now();
    primary.wait_for_sync(&replica);
    load.go_on(100);
    let token = login(&mut con, "sessions:2");
    let cut = Instant::now();
    cable.cut();
    wait_until("the primary refuses logins", || {
        cmd(&mut con, "SESSION.CREATE sessions:3").is_err_and(|error| error.to_string().contains("NOREPLICAS"))
    });
    eprintln!("partition: the primary took writes for {:.1} s", cut.elapsed().as_secs_f64());
    for line in ["SESSION.REVOKEUSER sessions:1", "SESSION.DENY sessions:1 x UNTIL 99999999999999"] {
        assert!(cmd(&mut con, line).unwrap_err().to_string().contains("NOREPLICAS"), "{line}");
    }
    assert_eq!(verdict(&mut con, "sessions:2", &token), "active", "it checks");
    // As Sentinel would, on the other side.
    cmd(&mut replica.connection(), "REPLICAOF NO ONE").unwrap();
    let (history, waited) = (load.end(), waiting.end());
    // The network is whole again.
    cmd(&mut con, &format!("REPLICAOF 127.0.0.1 {}", replica.port())).unwrap();
    replica.wait_for_sync(&primary);
    let losses = history.losses(&mut con);
    history.report("partition", &losses);
    assert!(losses.lost > 0 && losses.undone > 0, "{losses:?}");
    assert_eq!(history.until(marked).losses(&mut con), Losses::NONE, "the replica had all of that time");
    let losses = waited.losses(&mut con);
    waited.report("partition, with WAIT", &losses);
    assert_eq!(losses.undone, 0);
    login(&mut replica.connection(), "sessions:4");
}
