//! Several devices of one user, and several users.

use crate::client::Client;
use crate::{signed_in, text};

fn ids(client: &mut Client) -> Vec<String> {
    let sessions = client.get("/sessions").expect(200).json();
    sessions.as_array().unwrap().iter().map(|session| text(&session["id"]).to_owned()).collect()
}

fn own_id(client: &mut Client) -> String {
    text(&client.get("/me").expect(200).json()["session"]).to_owned()
}

#[test]
fn two_devices_are_independent() {
    let (_redis, service, mut laptop) = signed_in();
    let mut phone = laptop.other().with("user-agent", "a phone");
    phone.sign_in("ada");
    assert_eq!(ids(&mut laptop).len(), 2);
    let list = phone.get("/sessions").json();
    assert_eq!((&list[0]["agent"], &list[0]["current"]), (&"a phone".into(), &true.into()));
    assert_eq!(list[1]["current"], false);

    phone.post("/logout", &().into()).expect(204);
    laptop.get("/me").expect(200);
    phone.get("/me").expect(401);
    assert_eq!(service.lines("Signed out").len(), 1);
}

#[test]
fn a_user_ends_another_device_by_its_id() {
    let (_redis, service, mut laptop) = signed_in();
    let mut phone = laptop.other();
    phone.sign_in("ada");
    let id = own_id(&mut phone);
    laptop.delete(&format!("/sessions/{id}")).expect(204);
    phone.get("/me").expect(401);
    laptop.get("/me").expect(200);
    laptop.delete(&format!("/sessions/{id}")).expect(404);
    assert_eq!(service.lines("Signed out another device")[0]["session"], id.as_str());
    assert_eq!(service.lines("Token has been revoked").len(), 1);
}

#[test]
fn nobody_ends_the_session_of_another_user() {
    let (_redis, _service, mut ada) = signed_in();
    let mut eve = ada.other();
    eve.register("eve");
    eve.sign_in("eve");
    let id = own_id(&mut ada);
    eve.delete(&format!("/sessions/{id}")).expect(404);
    eve.submit(&format!("/devices/{id}/sign-out"), "").expect(303);
    // The token itself in the place of an id is no better.
    let token = ada.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    eve.delete(&format!("/sessions/{token}")).expect(404);
    eve.delete("/sessions/%00%22%20*").expect(404);
    ada.get("/me").expect(200);
    assert_eq!(ids(&mut eve), [own_id(&mut eve)]);
}
