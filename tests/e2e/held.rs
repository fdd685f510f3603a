//! While there is no key yet, requests are held rather than refused: for so long, so many, and then they go on.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, pem};
use harness::{ASSERTION_HEADER, Bootstrap, Crowd, Envoy, Http2Client, JWKS_PATH, KeySet, Reply, Request, eventually};

fn configuration(wait: &str) -> Value {
    json!({
        "signing_key_file": "/signing-key.pem",
        "signing_key_refresh": "0.1s",
        "signing_key_wait": wait,
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "user_endpoints": true,
    })
}

/// Sends a request over a connection of its own, in a thread of its own.
fn begin(envoy: &Envoy, request: Request) -> JoinHandle<(Reply, Duration)> {
    let mut client = envoy.connect();
    thread::spawn(move || {
        let start = Instant::now();
        (client.send(&request), start.elapsed())
    })
}

/// Waits until Envoy has so many requests that it has not answered.
fn wait_until_active(envoy: &Envoy, count: u64) {
    eventually("the requests to be there", || {
        (envoy.admin().stat("http.public.downstream_rq_active") == count).then_some(())
    });
}

#[test]
fn no_request_of_a_cold_start_is_refused() {
    for round in 0..3 {
        let mut settings = configuration("5s");
        // The first fetch does not wait for the refresh.
        settings["signing_key_refresh"] = "60s".into();
        let envoy = Bootstrap::new(settings).key_file(pem(A)).workers(2).start();
        let asked: Vec<_> =
            (0..30).map(|n| begin(&envoy, Request::get("/").header("x-user", format!("u-{n}")))).collect();
        let replies: Vec<Reply> = asked.into_iter().map(|asked| asked.join().expect("a reply").0).collect();
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [200; 30], "round {round}");
        let keys = envoy.keys();
        for (n, reply) in replies.iter().enumerate() {
            assert_eq!(keys.verify(&reply.token()).claim("sub"), format!("u-{n}").as_str(), "round {round}");
        }
        assert_eq!(envoy.stat("refused.no_key"), 0, "round {round}");
    }
}

#[test]
fn held_requests_go_on_when_the_file_is_filled() {
    for workers in [1, 2] {
        let envoy = Bootstrap::new(configuration("20s")).key_file("").workers(workers).start();
        let user = |n: usize, request: Request| request.header("x-user", format!("u-{n}"));
        let forged =
            |request: Request| request.header(ASSERTION_HEADER, "forged").header("X_Pomerium.Claim-Sub", "forged");
        let requests: Vec<Request> = (0..12)
            .flat_map(|n| {
                [
                    user(n, Request::get("/")),
                    user(n, forged(Request::get("/forged"))),
                    user(n, Request::new("POST", "/post").body(vec![b'x'; 20_000])),
                    user(n, Request::new("POST", "/trailers").body("hello").trailer(ASSERTION_HEADER, "forged")),
                ]
            })
            .collect();
        let asked: Vec<_> = requests.iter().map(|request| begin(&envoy, request.clone())).collect();
        let endpoints: Vec<_> = [JWKS_PATH, "/.well-known/pomerium", "/.pomerium/user", "/.pomerium/jwt"]
            .map(|path| begin(&envoy, user(99, Request::get(path))))
            .into();
        let head = begin(&envoy, Request::new("HEAD", JWKS_PATH));
        wait_until_active(&envoy, u64::try_from(requests.len() + endpoints.len() + 1).unwrap());
        assert_eq!(envoy.upstream_requests(), 0, "none goes on without a key");

        envoy.replace_key_file(pem(A));
        let keys = KeySet::from_json(envoy.get(JWKS_PATH).json());
        for (number, (request, asked)) in requests.iter().zip(asked).enumerate() {
            let reply = asked.join().expect("a reply").0;
            assert_eq!(reply.status, 200, "{request:?}");
            let seen = reply.seen();
            assert!(!seen.contains("forged"), "{request:?}: {seen:?}");
            let assertion = keys.verify(&reply.token());
            assert_eq!(assertion.claim("sub"), format!("u-{}", number / 4).as_str(), "{request:?}");
        }
        for endpoint in endpoints {
            let reply = endpoint.join().expect("a reply").0;
            assert_eq!(reply.status, 200);
            assert!(reply.try_seen().is_none(), "an endpoint is answered by the filter");
        }
        assert_eq!(head.join().expect("a reply").0.status, 200);
        assert_eq!(envoy.stat("refused.no_key"), 0);
        assert_eq!(envoy.upstream_requests(), requests.len());
    }
}

#[test]
fn a_held_request_is_refused_when_its_time_is_over() {
    for (wait, least, most) in [(None, 1500, 8000), (Some("0.5s"), 400, 5000), (Some("4s"), 3500, 12_000)] {
        let mut settings = configuration("1s");
        match wait {
            Some(wait) => settings["signing_key_wait"] = wait.into(),
            None => drop(settings.as_object_mut().unwrap().remove("signing_key_wait")),
        }
        let envoy = Bootstrap::new(settings).key_file("").start();
        let asked: Vec<_> = ["/", JWKS_PATH].map(|path| begin(&envoy, Request::get(path))).into();
        for asked in asked {
            let (reply, elapsed) = asked.join().expect("a reply");
            assert_eq!(reply.status, 503, "{wait:?}");
            let retry_after = reply.header("retry-after").expect("retry-after");
            assert!(retry_after.parse::<u32>().is_ok(), "{wait:?}: {retry_after}");
            let bounds = Duration::from_millis(least)..Duration::from_millis(most);
            assert!(bounds.contains(&elapsed), "{wait:?}: after {elapsed:?}");
        }
        assert_eq!(envoy.stat("refused.no_key"), 2, "{wait:?}");
        assert_eq!(envoy.upstream_requests(), 0, "{wait:?}");
        envoy.replace_key_file(pem(A));
        eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    }
}

#[test]
fn without_a_wait_a_request_is_refused_at_once() {
    let envoy = Bootstrap::new(configuration("0s")).key_file("").workers(2).start();
    for path in ["/", JWKS_PATH, "/.well-known/pomerium", "/.pomerium/jwt"] {
        let (reply, elapsed) = begin(&envoy, Request::get(path)).join().expect("a reply");
        assert_eq!(reply.status, 503, "{path}");
        assert!(reply.header("retry-after").is_some(), "{path}");
        assert!(elapsed < Duration::from_millis(1500), "{path}: after {elapsed:?}");
    }
    assert_eq!(envoy.stat("refused.no_key"), 4);
}

/// How many a worker holds.
const BOUND: usize = 1024;

#[test]
fn no_more_than_so_many_requests_are_held() {
    let envoy = Bootstrap::new(configuration("25s")).key_file("").start();
    let [mut first, mut second] = [(); 2].map(|()| Http2Client::connect(envoy.address()));
    let keyset = |count: usize| vec![Request::get(JWKS_PATH); count];
    let asked = [thread::spawn(move || first.send_together(&keyset(700))), {
        let requests = keyset(BOUND - 700 + 76);
        thread::spawn(move || second.send_together(&requests))
    }];
    eventually("those beyond the bound to be refused", || (envoy.stat("refused.no_key") == 76).then_some(()));
    wait_until_active(&envoy, u64::try_from(BOUND).unwrap());
    envoy.replace_key_file(pem(A));
    let replies: Vec<Reply> = asked.into_iter().flat_map(|asked| asked.join().expect("replies")).collect();
    let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(200), count(503)), (BOUND, 76));
    assert!(replies.iter().filter(|reply| reply.status == 503).all(|reply| reply.header("retry-after").is_some()));
    assert_eq!(envoy.stat("refused.no_key"), 76);
}

#[test]
fn many_whose_time_is_over_are_all_refused() {
    let envoy = Bootstrap::new(configuration("3s")).key_file("").start();
    let replies = Http2Client::connect(envoy.address()).send_together(&vec![Request::get("/"); 900]);
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [503; 900]);
    assert_eq!(envoy.stat("refused.no_key"), 900, "each by the filter, none by a VM that crashed");
    envoy.replace_key_file(pem(A));
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
}

#[test]
fn who_hangs_up_while_held_makes_room_for_others() {
    let envoy = Bootstrap::new(configuration("25s")).key_file("").start();
    for _ in 0..3 {
        let mut client = Http2Client::connect(envoy.address());
        let requests = vec![Request::get(JWKS_PATH); 600];
        client.abandon(&requests);
        wait_until_active(&envoy, 600);
        drop(client);
        wait_until_active(&envoy, 0);
    }
    let asked: Vec<_> = (0..20).map(|_| begin(&envoy, Request::get("/"))).collect();
    wait_until_active(&envoy, 20);
    assert_eq!(envoy.stat("refused.no_key"), 0, "1,800 have come and gone, never more than 620 at once");
    envoy.replace_key_file(pem(A));
    for asked in asked {
        assert_eq!(asked.join().expect("a reply").0.status, 200);
    }
    assert_eq!(envoy.upstream_requests(), 20, "none that hung up goes on");
}

#[test]
fn a_switch_to_another_key_file_refuses_nobody() {
    let settings = |path: &str| {
        let mut settings = json!({"signing_key_file": path, "signing_key_refresh": "0.1s", "jwks_max_age": "1s"});
        settings["audience"] = path.into();
        settings
    };
    let envoy = Bootstrap::new(settings("/0.pem")).key_file(pem(A)).workers(2).dynamic().start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    let crowd = Crowd::start(&[envoy.address()], 4);
    for number in 1..8 {
        let path = format!("/{number}.pem");
        envoy.reconfigure_all(&path, settings(&path));
    }
    crowd.wait_until_all_verified(KID_A);
    crowd.assert_flawless();
    assert_eq!(envoy.stat("refused.no_key"), 0);
}

#[test]
fn a_hot_restart_with_a_key_file_refuses_nobody() {
    let bootstrap = || {
        let settings = json!({"signing_key_file": "/k.pem", "signing_key_refresh": "0.1s", "jwks_max_age": "1s"});
        Bootstrap::new(settings).key_file(format!("{}{}", pem(A), pem(B))).workers(2).restartable()
    };
    let mut envoy = bootstrap().start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    let crowd = Crowd::start(&[envoy.address()], 4);
    for _ in 0..3 {
        let next = envoy.hot_restart(bootstrap());
        envoy.wait_for_end();
        envoy = next;
    }
    assert_eq!(envoy.keys().kids(), [KID_A, KID_B]);
    crowd.wait_until_all_verified(KID_A);
    crowd.assert_flawless();
}
