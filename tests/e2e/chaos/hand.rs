//! The hand that breaks things, one after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Work;
use super::judge::REJECTED;
use super::ledger::{Key, Ledger};
use crate::dice::Dice;
use harness::keys::A;
use harness::modules;
use harness::{Bootstrap, Configuration, Envoy, Host, paths};

const POLL: Duration = Duration::from_millis(2);
/// How long Envoy may take to sign with a new key, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many requests an outage lasts.
const OUTAGE: u64 = 60;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Another configuration.
    GoodConfiguration,
    /// A configuration that Envoy must refuse.
    BadConfiguration,
    /// Good and bad configurations before Envoy has looked at the first.
    ConfigurationsInARow,
    /// A discovery file that is no JSON.
    Garbage,
    /// The same module under another name.
    ModuleAnew,
    /// A module that traps on each request, for a while.
    TrappingModule,
    /// Another key in the key file.
    AnotherKey,
    /// A key file without a byte.
    EmptyKeyFile,
    /// Half a key in the key file.
    BrokenKeyFile,
    /// The key file is removed.
    NoKeyFile,
    /// Envoy is killed, and started again.
    Kill,
    /// The same, with no usable keys or no usable configuration until it is helped.
    KillAndBrokenStart,
}

impl Event {
    /// What happens in a round, in any order: what is common twice, and no other module where Envoy loads only one.
    fn round(host: Host) -> Vec<Self> {
        use Event::*;
        let mut round = vec![
            GoodConfiguration,
            GoodConfiguration,
            BadConfiguration,
            ConfigurationsInARow,
            Garbage,
            AnotherKey,
            AnotherKey,
            EmptyKeyFile,
            BrokenKeyFile,
            NoKeyFile,
            Kill,
            KillAndBrokenStart,
        ];
        if host == Host::Wasm {
            round.extend([ModuleAnew, TrappingModule]);
        }
        round
    }
}

pub(super) struct Hand {
    envoy: Option<Envoy>,
    upstream: SocketAddr,
    ledger: Arc<Ledger>,
    key: Key,
    dice: Dice,
    files: TempDir,
    label: u32,
    events: BTreeMap<Event, u64>,
    /// What Envoy made of the configurations it was handed, before it was killed.
    verdicts: (u64, u64),
}

impl Hand {
    pub(super) fn new(upstream: SocketAddr, ledger: Arc<Ledger>, seed: u64) -> Self {
        let key = Key::generate();
        ledger.offer(&key);
        let files = tempfile::tempdir().expect("a directory for modules");
        fs::write(files.path().join("trapping.wasm"), modules::trapping()).expect("write a module");
        let mut hand = Self {
            envoy: None,
            upstream,
            ledger,
            key,
            dice: Dice::new(seed),
            files,
            label: 0,
            events: BTreeMap::new(),
            verdicts: (0, 0),
        };
        let (configuration, content) = (hand.good(), hand.key.pem.clone());
        hand.start(configuration, &content);
        hand
    }

    pub(super) fn envoy(&self) -> &Envoy {
        self.envoy.as_ref().expect("an Envoy that runs")
    }

    pub(super) fn events(&self) -> &BTreeMap<Event, u64> {
        &self.events
    }

    /// How many configurations were accepted, and how many rejected.
    pub(super) fn verdicts(&self) -> (u64, u64) {
        let now = self.envoy().admin().discoveries();
        (self.verdicts.0 + now.0, self.verdicts.1 + now.1)
    }

    /// Breaks something each time so many requests have begun, until all have.
    pub(super) fn work(&mut self, work: &Work, pace: u64) {
        // However few events there is time for, a configuration is accepted and one is refused.
        let mut deck = vec![Event::GoodConfiguration, Event::BadConfiguration];
        while wait(work, pace) {
            if deck.is_empty() {
                deck = Event::round(self.envoy().host());
                self.dice.shuffle(&mut deck);
            }
            let Some(event) = deck.pop() else { break };
            *self.events.entry(event).or_default() += 1;
            self.happen(event, work);
        }
        self.heal();
        *work.envoy.lock().unwrap_or_else(PoisonError::into_inner) = self.envoy().address();
    }

    fn happen(&mut self, event: Event, work: &Work) {
        match event {
            Event::GoodConfiguration => self.hand_over(true),
            Event::BadConfiguration => {
                let (_, rejected) = self.verdicts();
                self.hand_over(false);
                self.wait_until(work, "a bad configuration was not rejected", |hand| hand.verdicts().1 > rejected);
            }
            Event::ConfigurationsInARow => {
                [true, false, true, false, false].into_iter().for_each(|good| self.hand_over(good))
            }
            Event::Garbage => self.envoy().replace_discovery(b"{\"resources\": [{"),
            Event::ModuleAnew => self.module_anew(),
            Event::TrappingModule => {
                let (module, configuration) = (self.files.path().join("trapping.wasm"), self.good());
                self.envoy().push_module(&module, configuration);
                wait(work, OUTAGE);
                self.hand_over(true);
            }
            Event::AnotherKey => {
                self.wait_for_key(work);
                self.another_key();
            }
            Event::EmptyKeyFile => {
                self.wait_for_key(work);
                self.envoy().replace_key_file("");
            }
            Event::BrokenKeyFile => {
                self.wait_for_key(work);
                self.envoy().replace_key_file(broken(&Key::generate()));
            }
            Event::NoKeyFile => {
                self.wait_for_key(work);
                fs::remove_file(self.envoy().key_file()).unwrap_or_default();
            }
            Event::Kill => {
                let (configuration, content) = (self.good(), self.key.pem.clone());
                self.restart(work, configuration, &content);
            }
            Event::KillAndBrokenStart => self.broken_start(work),
        }
    }

    /// An Envoy that finds no usable keys, or no usable configuration, until it is helped.
    fn broken_start(&mut self, work: &Work) {
        let content = match self.dice.below(3) {
            0 => self.key.pem.clone(),
            1 => String::new(),
            _ => broken(&Key::generate()),
        };
        let configuration = if content == self.key.pem { self.bad() } else { self.good().into() };
        self.restart(work, configuration, &content);
        wait(work, OUTAGE);
        self.another_key();
        self.hand_over(true);
    }

    /// A key that is gone before Envoy has read it never signs, and says nothing about the one before.
    fn wait_for_key(&self, work: &Work) {
        let what = "a new key in the file never signed anything";
        self.wait_until(work, what, |hand| hand.ledger.has_signed(&hand.key.kid));
    }

    fn wait_until(&self, work: &Work, complaint: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) && work.begun() < work.total {
            assert!(Instant::now() < deadline, "{complaint}");
            thread::sleep(POLL);
        }
    }

    fn another_key(&mut self) {
        let old = std::mem::replace(&mut self.key, Key::generate());
        self.ledger.offer(&self.key);
        let old = if self.dice.below(2) == 0 { old.pem } else { String::new() };
        self.envoy().replace_key_file(self.key.pem.clone() + &old);
    }

    /// The same module under another name and with other bytes: new VMs, whatever Envoy keeps.
    fn module_anew(&mut self) {
        self.label += 1;
        let mut module = fs::read(paths::module()).expect("read the module");
        // A custom section (WebAssembly, section 5.5.3) that nobody reads.
        module.extend_from_slice(&[0, 5, 4]);
        module.extend_from_slice(&self.label.to_be_bytes().map(|byte| byte & 0x7f));
        let path = self.files.path().join(format!("{}.wasm", self.label));
        fs::write(&path, module).expect("write a module");
        let configuration = self.good();
        self.envoy().push_module(&path, configuration);
    }

    fn hand_over(&mut self, good: bool) {
        let configuration = if good { self.good().into() } else { self.bad() };
        self.envoy().push_module(&paths::module(), configuration);
    }

    fn good(&mut self) -> Value {
        self.label += 1;
        let mut configuration = json!({
            "signing_key_file": "/signing-key.pem",
            "signing_key_refresh": "0.1s",
            "identity_sources": [{"headers": {"sub": "x-auth-user"}}],
            "audience": format!("accepted-{}", self.label),
        });
        match self.dice.below(4) {
            0 => configuration["jwt_claims_headers"] = json!(["sub"]),
            1 if Host::under_test() == Host::Wasm => configuration["signer"] = "wasm".into(),
            2 => configuration["bind"] = json!(["method", "path"]),
            _ => {}
        }
        configuration
    }

    fn bad(&mut self) -> Configuration {
        let mut configuration = self.good();
        // Envoy does not look at a configuration again that is the same as the one before.
        configuration["issuer"] = configuration["audience"].take();
        configuration["audience"] = REJECTED.into();
        match self.dice.below(5) {
            0 => configuration["on_missing_identity"] = "perhaps".into(),
            1 => configuration["no_such_field"] = true.into(),
            2 => configuration["signing_key"] = A.into(),
            3 => configuration["assertion_header"] = "not a name".into(),
            _ => return Configuration::Text(configuration.to_string().trim_end_matches('}').into()),
        }
        configuration.into()
    }

    fn restart(&mut self, work: &Work, configuration: impl Into<Configuration>, content: &str) {
        self.verdicts = self.verdicts();
        self.envoy = None;
        self.ledger.lay_down_all_but((content == self.key.pem).then_some(&self.key.kid));
        self.start(configuration, content);
        *work.envoy.lock().unwrap_or_else(PoisonError::into_inner) = self.envoy().address();
    }

    fn start(&mut self, configuration: impl Into<Configuration>, content: &str) {
        let route = |path: &str, metadata: Value| {
            json!({
                "match": {"prefix": path},
                "metadata": {"filter_metadata": {"attestation": metadata}},
                "route": {"cluster": "upstream"},
            })
        };
        let bootstrap = Bootstrap::new(configuration)
            .key_file(content)
            .upstream(self.upstream)
            .route(route("/skip/", json!({"on_missing_identity": "skip"})))
            .route(route("/off/", json!({"pass_identity_headers": false})))
            .workers(2)
            .dynamic()
            .may_trap();
        self.envoy = Some(bootstrap.start());
    }

    fn heal(&mut self) {
        self.another_key();
        self.hand_over(true);
    }
}

/// The first half of a key that must never sign.
fn broken(key: &Key) -> String {
    key.pem[..key.pem.len() / 2].to_owned()
}

/// Waits until so many more requests have begun; false if there are none left.
fn wait(work: &Work, count: u64) -> bool {
    let until = (work.begun() + count).min(work.total);
    while work.begun() < until {
        thread::sleep(POLL);
    }
    work.begun() < work.total
}
