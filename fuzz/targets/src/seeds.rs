//! Real inputs of every target: what fuzzing begins with.

use redis_session_core::sessions::{Cutoff, Effect, EndReason, Tombstone, UserCutoff, decode_effects, encode_effects};
use redis_session_core::{SessionId, UnixMillis};

use crate::bases;
use crate::decide::IDS;
use crate::{public, vouch};

/// Real inputs of the target with this name.
///
/// # Panics
///
/// If there is none.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "value" => bases().to_vec(),
        "apply" => apply(),
        "decide" => (0..4).map(|base| [&[base], &(0..=254).collect::<Vec<u8>>()[..]].concat()).collect(),
        "text" => text(),
        "token" => token(),
        "json" => json().into_iter().map(Into::into).collect(),
        "jwks" => jwks(),
        "issuers" => issuers(),
        "vouch" => vouch::seeds(),
        other => panic!("no target {other}"),
    }
}

/// Effects of every kind, each on every value to begin with.
fn apply() -> Vec<Vec<u8>> {
    let id = |text: &str| SessionId::from_text(text.as_bytes()).expect("an id");
    let time = UnixMillis::from_secs(1_790_000_100).expect("a time");
    let cutoff = Some(UserCutoff { cutoff: Cutoff::at(time, 60_000), until: time.saturating_add(3_600_000) });
    let few = bases().first().expect("a value");
    let known = decode_effects(few).expect("effects");
    let mut kinds: Vec<Vec<Effect<'_>>> = vec![
        known.clone(),
        vec![Effect::Seen { id: id("a"), at: time }],
        vec![Effect::End(Tombstone {
            id: id("b"),
            reason: EndReason::Reused,
            ended: Cutoff::at(time, 0),
            until: time,
        })],
        vec![Effect::Forget(id("a")), Effect::Forget(id("AAECAwQFBgcICQoLDA0ODw"))],
        vec![Effect::Clear { except: None }],
        vec![Effect::Clear { except: Some(id("a")) }],
        vec![Effect::RevokedBefore(None), Effect::TombstonesDroppedBefore(None)],
        vec![Effect::RevokedBefore(cutoff), Effect::TombstonesDroppedBefore(cutoff)],
    ];
    // One by one, so that the last deadline goes too.
    kinds.extend(IDS.map(|text| vec![Effect::Forget(id(text))]));
    for effect in known {
        if let Effect::Put(session) = effect {
            let (known, data) = (session.id.clone(), session.data.clone());
            kinds.push(vec![Effect::Replace { old: id("é"), session: session.clone() }]);
            kinds.push(vec![Effect::Replace { old: known.clone(), session }]);
            if !data.is_empty() {
                kinds.push(vec![Effect::Set { id: id("b"), version: 7, data: data.clone() }]);
                kinds.push(vec![Effect::Unset { id: known, version: 8, names: data }]);
            }
        }
    }
    let encoded = kinds.into_iter().flat_map(|effects| {
        let bytes = encode_effects(&effects);
        let length = u16::try_from(bytes.len()).expect("a short one").to_le_bytes();
        (0..4).map(move |base| [&[base], &length[..], &bytes].concat())
    });
    encoded.collect()
}

fn text() -> Vec<Vec<u8>> {
    let texts = [
        "AAECAwQFBgcICQoLDA0ODw",
        "0190163d-8694-739b-aea5-966c26f8ad91",
        "0190163d8694739baea5966c26f8ad91",
        "sessions:{42}",
        "{42}",
        "{{42}}",
        "é",
        "-_8",
        "rst1.NDI.b25l.AAAA",
        "rsr1.NDI.b25l.AAAAAQ.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.AA",
        "eyAiYWxnIjogIkhTMjU2IiB9.e30.AA",
        "\x01\x02kvv\x02\x00kk",
        "HS256",
        "user_revoked",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn json() -> Vec<&'static str> {
    vec![
        r#"{"role":"admin","n":[1,-1,1.5e3,true,false,null,{"a":{}}]}"#,
        r#"{"sub":"42","exp":1700003600,"iat":1700000000,"nbf":1.7e9,"jti":"t","sid":"s","iss":"i","aud":["a","b"]}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"#,
        r#" { "e\n\ud83d\ude00" : "\"\\\/" } "#,
        r#"{"a0":0,"a1":0,"a2":0,"a3":0,"a4":0,"a5":0,"a6":0,"a7":0,"a8":0,"a9":0,"b0":0,"b1":0,"b2":0,"b3":0,"b1":0}"#,
    ]
}

fn token() -> Vec<Vec<u8>> {
    let header = r#"{"typ":"JWT","kid":"k256","alg":"HS256"}"#;
    let payloads = [
        r#"{"sub":"42","exp":1700003600,"iat":1700000000,"jti":"t","sid":"s"}"#,
        r#"{"iss":"https://issuer.example","sub":"42","aud":["api","admin"],"exp":1700000001.5,"nbf":1700000000}"#,
        r#"{"sub":"42","aud":"admin","exp":1700003600,"jti":"0190163d-8694-739b-aea5-966c26f8ad91"}"#,
        r#"{"sub":"43","exp":1600000000}"#,
    ];
    let mut seeds = Vec::new();
    for (payload, number) in payloads.into_iter().zip(0_u8..) {
        for asked in [0, 1, 2, 16, 18, 35, 64, 5] {
            // Kind, keys, asked, change, began, parts.
            let control = [1, 0xF0, asked, number, 40, 0, 65, 10, 0, 0, 0, 0, 0];
            seeds.push([&control, payload.as_bytes(), b"\xFFmore"].concat());
        }
        let control = [0, 0, 3, 7, 0, 0, 10, 255, 255, 0, 0, 0, 0];
        seeds.push([&control, header.as_bytes(), b"\xFF", payload.as_bytes()].concat());
        let control = [0, 2, 3, 5, 0, 0, 10, 255, 255, 0, 0, 0, 0];
        seeds.push([&control, &br#"{"alg":"HS512"}"#[..], b"\xFF", payload.as_bytes(), b"\xFF.AA"].concat());
    }
    for key in 0..5 {
        let control = |kind| [kind, 0xF0 | key, 0, key, 3, 0, 65, 1, 2, 3, 4, 5, 0];
        seeds.push([&control(2), &b"42\xFFan id"[..]].concat());
        seeds.push([&control(3), &b"42\xFFan id\xFF\0\0\0\x07"[..]].concat());
    }
    // Tokens that were signed in advance: a letter, what a part says, the parts of another one, something put in.
    for which in 0..40_u8 {
        for (asked, change, other, how) in [
            (0, [0, 30, 0, 65], 0, 24),
            (33, [6, 9, 0, 1], 0, 16),
            (130, [8, 9, 0, 7], 5, 4),
            (128, [5, 0, 0, 0], 6, 27),
        ] {
            let [by, low, high, to] = change;
            let wanted = which >> 2;
            seeds.push([&[0xE5, which, asked, by, low, high, to, 10, 0, 0, other, how, wanted], &b"more"[..]].concat());
        }
    }
    // A type that is demanded, of ours and of others.
    for wanted in 0..4 {
        let header = br#"{"alg":"HS256","kid":"k256","typ":"application/AT+jwt"}"#;
        let control = |kind| [kind, 0xF0, 128, 0, 40, 0, 65, 10, 0, 0, 0, 0, wanted];
        seeds.push([&control(0), &header[..], b"\xFF", payloads[0].as_bytes()].concat());
        seeds.push([&control(1), payloads[0].as_bytes()].concat());
        seeds.push([&control(2), &b"42\xFFan id"[..]].concat());
    }
    seeds.push([&[4][..], &[0; 12], b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.AA"].concat());
    seeds
}

fn jwks() -> Vec<Vec<u8>> {
    let key = |kid: &str, algorithm: &str, letters: usize, more: &str| {
        let secret = "Q".repeat(letters);
        format!(r#"{{"kty":"oct","kid":"{kid}","alg":"{algorithm}","k":"{secret}"{more}}}"#)
    };
    let keys = [
        key("a", "HS256", 64, ""),
        key("b", "HS384", 64, r#","use":"sig","key_ops":["verify","sign"]"#),
        key("c", "HS512", 86, r#","key_ops":["verify"],"x":[{"y":[]}]"#),
        key("d", "HS256", 40, ""),
    ];
    let file = |keys: &[String]| format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes();
    let mut seeds: Vec<_> = [&keys[..1], &keys[..3], &keys[1..], &keys[2..3]]
        .into_iter()
        .flat_map(|keys| [&b"\0"[..], b"\x01c", b"\x01b"].map(|active| [active, &file(keys)].concat()))
        .collect();
    // Of each public type, as they are; with what issuers make of them; and private ones.
    let public: Vec<String> = public::jwks().iter().map(ToString::to_string).collect();
    for key in &public {
        for (from, to) in [
            ("", ""),
            (r#""alg":"#, r#""key_ops":null,"was":"#),
            (r#""kid":"#, r#""kid":null,"was":"#),
            (r#""kty":"#, r#""use":"sig","key_ops":["verify"],"kty":"#),
            (r#""x":""#, r#""x":"AAAA"#),
            (r#""n":""#, r#""n":"AAAA"#),
            (r#""kty":"#, r#""d":"AQ","kty":"#),
        ] {
            seeds.push([b"\0", &file(&[key.replace(from, to)])[..]].concat());
        }
        seeds.push([b"\0", &file(&[keys[0].clone(), key.clone(), key.clone()])[..]].concat());
    }
    seeds.push([b"\0\xef\xbb\xbf", &file(&public)[..]].concat());
    for key in public::private_jwks() {
        seeds.push([b"\0", &file(&[key.to_string()])[..]].concat());
    }
    seeds.push(b"\0{\"keys\":[]}".to_vec());
    seeds.push(br#" {"keys":[{"kty":"RSA","kid":"r","alg":"RS256","n":"AQ","e":"AQAB"}]}"#.to_vec());
    seeds
}

fn issuers() -> Vec<Vec<u8>> {
    let public = serde_json::json!({ "keys": public::jwks() }).to_string();
    let secret = format!(r#"{{"keys":[{{"kty":"oct","kid":"a","alg":"HS256","k":"{}"}}]}}"#, "Q".repeat(43));
    let entries = [
        r#"{"iss":"https://a.example/","jwks":"a"}"#,
        r#"{"iss":"https://b.example/","jwks":"d/b.json","aud":["web","api"],"typ":"at+jwt","algs":["RS256","ES256"]}"#,
        r#"{"iss":null,"jwks":"c"}"#,
        r#"{"iss":"","jwks":"a"}"#,
        r#"{"iss":"x","jwks":"../a"}"#,
        r#"{"iss":"x","jwks":"/a"}"#,
        r#"{"iss":"x","jwks":"a/./b"}"#,
        r#"{"iss":"x","jwks":"a","aud":[]}"#,
        r#"{"iss":"x","jwks":"a","aud":["x","x"]}"#,
        r#"{"iss":"x","jwks":"a","algs":["none"]}"#,
        r#"{"iss":"x","jwks":"a","audience":["x"]}"#,
    ];
    let mut seeds = Vec::new();
    for file in entries.iter().map(|entry| (*entry).to_owned()).chain([entries[..3].join(","), entries[1..3].join(",")])
    {
        for sets in [[&public, &secret, &public, &secret], [&secret, &public, &secret, &public]] {
            let sets = sets.map(|set| set.as_bytes());
            seeds.push(
                [format!(r#"{{"issuers":[{file}]}}"#).as_bytes(), sets[0], sets[1], sets[2], sets[3]].join(&0xFF),
            );
        }
    }
    seeds.push(br#"{"issuers":[]}"#.to_vec());
    seeds.push(b"\xef\xbb\xbf{\"issuers\":[]}".to_vec());
    seeds
}
