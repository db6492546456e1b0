//! How often somebody may try.

use redis_session_tests::{Server, cmd, wait_until};

use crate::client::credentials;
use crate::{PASSWORD, Service, started};

#[test]
fn after_too_many_wrong_passwords_the_right_one_must_wait() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("ATTEMPTS_PER_ACCOUNT", "3")]);
    let mut client = service.client();
    client.register("ada");
    client.register("bob");
    for n in 0..3_u8 {
        // From ever another address.
        let mut guesser = service.client().with("x-real-ip", format!("192.0.2.{n}"));
        guesser.post("/login", &credentials("ada", "wrong horse battery")).expect(401);
    }
    let refused = client.post("/login", &credentials("Ada ", PASSWORD)).expect(429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    client.token("ada").expect(429);
    client.other().sign_in("bob");
    assert_eq!(service.lines("Sign-in refused").last().unwrap()["why"], "too many attempts");
    // As if the window had passed.
    cmd(&mut redis.connection(), "PEXPIRE attempts:account:ada 1").unwrap();
    wait_until("the window has passed", || client.post("/login", &credentials("ada", PASSWORD)).status == 200);
}

#[test]
fn an_address_that_tries_many_names_must_wait_and_others_need_not() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("ATTEMPTS_PER_ADDRESS", "4")]);
    let mut client = service.client().with("x-real-ip", "203.0.113.7");
    client.register("ada");
    let from = |ip: &str| service.client().with("x-real-ip", ip);
    for n in 0..4_u8 {
        let guess = from("2001:db8::1").post("/login", &credentials(&format!("user{n}"), PASSWORD));
        assert_eq!(guess.status, 401);
    }
    from("2001:db8::2").post("/login", &credentials("ada", PASSWORD)).expect(429);
    from("2001:db8::2").post("/register", &credentials("eve", PASSWORD)).expect(429);
    from("2001:db8:0:1::1").post("/login", &credentials("ada", PASSWORD)).expect(200);
}

#[test]
fn attempts_at_once_do_not_pass_the_limit() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("ATTEMPTS_PER_ACCOUNT", "3")]);
    service.client().register("ada");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guess = || service.client().post("/login", &credentials("ada", "wrong horse battery")).status;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(guess)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 5, "{statuses:?}");
}

#[test]
fn the_right_password_forgets_the_wrong_ones() {
    let (redis, service) = started();
    let mut client = service.client();
    client.register("ada");
    client.post("/login", &credentials("ada", "wrong horse battery")).expect(401);
    let count = |key: &str| redis::from_redis_value(cmd(&mut redis.connection(), &format!("EXISTS {key}")).unwrap());
    assert_eq!(count("attempts:account:ada"), Ok(1_u8));
    client.sign_in("ada");
    assert_eq!(count("attempts:account:ada"), Ok(0_u8));
}
