//! Clients that try everything to have their own assertion reach the upstream.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::forger::Forger;
use super::ledger::Key;
use crate::dice::Dice;
use harness::{ASSERTION_HEADER, Client, HOST, Request};

/// How long to wait for an Envoy that is not there, or that refuses.
const PAUSE: Duration = Duration::from_millis(20);
/// With each byte that a name can have in place of `-`, as some server folds it.
const ALIASES: [&str; 9] = [
    "X_Pomerium_Jwt_Assertion",
    "x.pomerium.jwt.assertion",
    "x-pomerium_jwt-ASSERTION",
    "X-POMERIUM.JWT_assertion",
    "x~pomerium~jwt~assertion",
    "x!pomerium#jwt$assertion",
    "x%pomerium&jwt'assertion",
    "x*pomerium+jwt^assertion",
    "X`Pomerium|Jwt-Assertion",
];
const CLAIMS: [&str; 6] = [
    "x-pomerium-claim-sub",
    "x-pomerium-claim-email",
    "X_Pomerium_Claim_Sub",
    "x.pomerium-claim.groups",
    "x~pomerium*claim|sub",
    "x-pomerium-claim-",
];
/// Names that are removed whatever is configured.
const ASSERTION_FOR: [&str; 2] = ["X-Pomerium-Jwt-Assertion-For", "x~pomerium_jwt.assertion+for"];

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trick {
    /// A request as it should be.
    Nothing,
    /// An assertion of a foreign key.
    Forged,
    /// Two of them.
    Doubled,
    /// One under another spelling.
    Aliased,
    /// One for somebody else.
    ForAnother,
    /// An assertion of ours.
    Replayed,
    /// Claim headers.
    Claims,
    /// The same as trailers.
    Trailers,
    /// Has the header removed on the way.
    HopByHop,
    /// Fifty of them.
    ManyLines,
    /// Bytes that are no text.
    OddBytes,
    /// One where none is due.
    NotDue,
    /// Goes in the middle of the head.
    HalfAHead,
    /// Goes in the middle of the body.
    HalfABody,
    /// Goes before the answer.
    HangsUp,
}

impl Trick {
    const ALL: [Self; 15] = [
        Self::Nothing,
        Self::Forged,
        Self::Doubled,
        Self::Aliased,
        Self::ForAnother,
        Self::Replayed,
        Self::Claims,
        Self::Trailers,
        Self::HopByHop,
        Self::ManyLines,
        Self::OddBytes,
        Self::NotDue,
        Self::HalfAHead,
        Self::HalfABody,
        Self::HangsUp,
    ];
}

/// What all clients share.
pub(super) struct Work {
    /// Where Envoy listens now.
    pub(super) envoy: Mutex<SocketAddr>,
    pub(super) total: u64,
    begun: AtomicU64,
    tally: Mutex<Tally>,
}

/// What became of the requests.
#[derive(Default, Clone)]
pub(super) struct Tally {
    pub(super) by_trick: BTreeMap<Trick, u64>,
    /// By status, or by what there was in its place.
    pub(super) by_answer: BTreeMap<String, u64>,
}

impl Work {
    pub(super) fn new(envoy: SocketAddr, total: u64) -> Self {
        Self { envoy: Mutex::new(envoy), total, begun: AtomicU64::new(0), tally: Mutex::default() }
    }

    /// How many requests have been begun, at most as many as were asked for.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst).min(self.total)
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trick: Trick, answer: String) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.by_trick.entry(trick).or_default() += 1;
        *tally.by_answer.entry(answer).or_default() += 1;
    }
}

/// Starts so many clients, which end when all requests are sent.
pub(super) fn start(work: &Arc<Work>, count: u64, seed: u64) -> Vec<JoinHandle<()>> {
    let foreign = Key::generate();
    let clients = (0..count).map(|number| Trickster {
        work: Arc::clone(work),
        dice: Dice::new(seed ^ (number << 40)),
        forged: Forger::with(&foreign).token("admin", "accepted", 0),
        real: None,
        connection: None,
    });
    clients.map(|client| thread::spawn(move || client.run())).collect()
}

struct Trickster {
    work: Arc<Work>,
    dice: Dice,
    forged: String,
    /// An assertion of ours that was on a request before.
    real: Option<String>,
    connection: Option<(SocketAddr, Client)>,
}

impl Trickster {
    fn run(mut self) {
        while self.work.begun() < self.work.total {
            let Some(connection) = self.connect() else {
                thread::sleep(PAUSE);
                continue;
            };
            let number = self.work.begun.fetch_add(1, Ordering::SeqCst);
            if number >= self.work.total {
                break;
            }
            let trick = Trick::ALL[self.dice.below(Trick::ALL.len())];
            let answer = match trick {
                Trick::HalfAHead | Trick::HalfABody | Trick::HangsUp => self.abandon(connection, trick, number),
                _ => self.ask(connection, trick, number),
            };
            self.work.note(trick, answer);
        }
    }

    /// The connection that is open, if Envoy is still where it was, or a new one.
    fn connect(&mut self) -> Option<Client> {
        let address = *self.work.envoy.lock().unwrap_or_else(PoisonError::into_inner);
        match self.connection.take() {
            Some((there, client)) if there == address => Some(client),
            _ => Client::try_connect(address).ok(),
        }
    }

    fn ask(&mut self, mut connection: Client, trick: Trick, number: u64) -> String {
        let request = self.request(trick, number);
        let address = *self.work.envoy.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(reply) = connection.try_send(&request) else { return "no answer".into() };
        if !reply.is_last() {
            self.connection = Some((address, connection));
        }
        if reply.status == 200 && !reply.body.is_empty() {
            self.real = Some(reply.text());
        }
        if reply.status >= 500 {
            thread::sleep(PAUSE);
        }
        reply.status.to_string()
    }

    fn request(&mut self, trick: Trick, number: u64) -> Request {
        let user = format!("u-{number}");
        let due = Request::get(&format!("/due/{number}")).header("x-auth-user", &user);
        let real = self.real.clone().unwrap_or_else(|| self.forged.clone());
        match trick {
            Trick::Forged => due.header(ASSERTION_HEADER, &self.forged),
            Trick::Doubled => due.header(ASSERTION_HEADER, &self.forged).header("X-Pomerium-Jwt-Assertion", real),
            Trick::Aliased => due.header(ALIASES[self.dice.below(ALIASES.len())], &self.forged),
            Trick::ForAnother => due.headers(ASSERTION_FOR.map(|name| (name, &self.forged))),
            Trick::Replayed => due.header(ASSERTION_HEADER, real),
            Trick::Claims => due.headers(CLAIMS.map(|name| (name, "admin"))),
            Trick::Trailers => due.body("hello").trailer(ASSERTION_HEADER, &real).trailer(CLAIMS[2], "admin"),
            Trick::HopByHop => due.header("connection", ASSERTION_HEADER).header(ASSERTION_HEADER, real),
            Trick::ManyLines => due.headers((0..50).map(|_| (ASSERTION_HEADER, &self.forged))),
            Trick::OddBytes => due.header(ASSERTION_HEADER, b"\xff\xfe").header("x-pomerium-claim-\u{7e}", b"\xff"),
            Trick::NotDue if self.dice.below(2) == 0 => {
                Request::get(&format!("/skip/{number}")).header(ASSERTION_HEADER, real).header(CLAIMS[0], "admin")
            }
            Trick::NotDue => Request::get(&format!("/off/{number}"))
                .header("x-auth-user", &user)
                .header(ALIASES[self.dice.below(ALIASES.len())], &self.forged)
                .header(ASSERTION_HEADER, real),
            Trick::Nothing | Trick::HalfAHead | Trick::HalfABody | Trick::HangsUp => due,
        }
    }

    fn abandon(&mut self, connection: Client, trick: Trick, number: u64) -> String {
        let head = format!(
            "POST /due/{number} HTTP/1.1\r\nhost: {HOST}\r\nx-auth-user: u-{number}\r\n{ASSERTION_HEADER}: {}\r\n\
             content-length: 10\r\n\r\n",
            self.forged
        );
        let bytes = match trick {
            Trick::HalfAHead => head.as_bytes()[..self.dice.below(head.len() - 1) + 1].to_vec(),
            Trick::HalfABody => [head.as_bytes(), b"hello"].concat(),
            _ => [head.as_bytes(), b"helloworld"].concat(),
        };
        connection.abandon(&bytes);
        "not waited for".into()
    }
}
