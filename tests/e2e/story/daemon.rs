//! The daemon, its words and its metrics.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::deadline;
use crate::fleet::end;
use harness::{Client, Request};

/// What the metrics said at one time.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: f64,
    pub(super) phase: String,
    pub(super) signer: String,
    pub(super) published: usize,
    pub(super) held: bool,
    pub(super) ready: usize,
    pub(super) waiting: usize,
    pub(super) lagging: usize,
    pub(super) unreachable: usize,
}

pub(super) struct Daemon {
    child: Child,
    started: Instant,
    address: SocketAddr,
    lines: Receiver<(f64, String)>,
    said: Vec<(f64, String)>,
    samples: Vec<Sample>,
}

impl Daemon {
    pub(super) fn start(mut command: Command) -> Self {
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send((started.elapsed().as_secs_f64(), line));
                }
            });
        }
        let mut said = Vec::new();
        let address = loop {
            let (at, line) = lines.recv_timeout(Duration::from_secs(20)).expect("the daemon says where it listens");
            let address = line.split_once("listening  http://").map(|(_, address)| address.parse().unwrap());
            said.push((at, line));
            if let Some(address) = address {
                break address;
            }
        };
        Self { child, started, address, lines, said, samples: Vec::new() }
    }

    pub(super) fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub(super) fn metrics(&self) -> String {
        let mut client = Client::try_connect(self.address).unwrap();
        let reply = client.try_send(&Request::get("/metrics").header("connection", "close")).unwrap();
        String::from_utf8(reply.body).unwrap()
    }

    pub(super) fn sample_until(&mut self, is_so: impl Fn(&Sample) -> bool) {
        let wait = deadline();
        while !is_so(&self.sample()) {
            wait();
        }
    }

    pub(super) fn sample_for(&mut self, time: Duration) {
        let (start, wait) = (Instant::now(), deadline());
        while start.elapsed() < time {
            self.sample();
            wait();
        }
    }

    fn sample(&mut self) -> Sample {
        let sample = Sample::of(self.elapsed(), &self.metrics());
        self.samples.push(sample.clone());
        self.said.extend(self.lines.try_iter());
        sample
    }

    pub(super) fn end(mut self) -> (Vec<Sample>, Vec<(f64, String)>) {
        end(&mut self.child);
        self.said.extend(self.lines.try_iter());
        (self.samples, self.said)
    }
}

impl Sample {
    fn of(at: f64, metrics: &str) -> Self {
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("attest_rotation_{name} ")));
            line.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let label = |name: &str, with: &str, label: &str| {
            let mut lines = metrics.lines().filter(|line| line.starts_with(&format!("attest_rotation_{name}{{")));
            let line = lines.find(|line| line.contains(with)).unwrap_or_default();
            let text = line.split_once(&format!("{label}=\"")).map_or("", |(_, rest)| rest);
            text.split('"').next().unwrap_or_default().to_owned()
        };
        let phases = ["settled", "staged", "promoted"];
        let phase = phases.into_iter().find(|phase| value(&format!("phase{{phase=\"{phase}\"}}")) == 1);
        let proxies = |state: &str| value(&format!("proxies{{state=\"{state}\"}}"));
        Self {
            at,
            phase: phase.unwrap_or("unknown").to_owned(),
            signer: label("key_info", "role=\"signs\"", "kid"),
            published: metrics.lines().filter(|line| line.starts_with("attest_rotation_key_info{")).count(),
            held: value("held") == 1,
            ready: proxies("ready"),
            waiting: proxies("waiting"),
            lagging: proxies("lagging"),
            unreachable: proxies("unreachable"),
        }
    }
}
