//! The README's steps, followed to the letter: this reads its text, runs its commands and uses its configurations. Only
//! directories, ports, the account and what the README marks as `yours` are a test's own.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use harness::idp::IdentityProvider;
use harness::snippet::block;
use harness::tls::Authority;
use harness::{Client, Host, JWKS_PATH, Request, eventually, only_on, paths, places};

pub const README: &str = "README.md";
/// What the README calls the same, in the way that it says.
const NATIVELY: [(&str, &str); 4] = [
    ("make wasm", "make native"),
    ("target/wasm32-wasip1/release/attestation_filter.wasm", "target/release/libattestation.so"),
    ("/etc/envoy/attestation_filter.wasm", "/etc/envoy/libattestation.so"),
    ("sudo -u envoy envoy", "sudo -u envoy ENVOY_DYNAMIC_MODULES_SEARCH_PATH=/etc/envoy envoy"),
];
/// There is one account here.
const SUDO: &str = "#!/bin/sh\nif [ \"$1\" = -u ]; then shift 2; fi\nexec env \"$@\"\n";
const INSTALL: &str = "#!/bin/bash\nexec /usr/bin/install \"${@/-o/-v}\"\n";

/// Somebody who follows the README.
pub struct Reader {
    directory: TempDir,
    pub provider: IdentityProvider,
    authority: Authority,
    issuer: u16,
    /// Those of the README in its order, and those of the test.
    ports: [(&'static str, u16); 3],
    /// The groups of processes that commands have left running.
    groups: Vec<u32>,
}

impl Reader {
    pub fn new() -> Self {
        let (provider, authority) = (IdentityProvider::new(), Authority::new());
        let issuer = authority.serve("issuer.example.com", provider.key_set().to_string()).port();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = [free(), free(), free()].map(|it| it.local_addr().unwrap().port());
        let ports = [("10000", taken[0]), ("9901", taken[1]), ("8080", taken[2])];
        let reader =
            Self { directory: tempfile::tempdir().unwrap(), provider, authority, issuer, ports, groups: vec![] };
        reader.furnish();
        reader
    }

    pub fn path(&self, below: &str) -> PathBuf {
        let path = self.directory.path().join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Puts what is built already where the README says that it is built, and programs of this machine in the way.
    fn furnish(&self) {
        let module = match Host::under_test() {
            Host::Wasm => ("wasm32-wasip1/release/attestation_filter.wasm", paths::module()),
            Host::Native => ("release/libattestation.so", places::native_module().unwrap()),
        };
        for (name, file) in [module, ("release/attest", paths::attest())] {
            symlink(file, self.path(&format!("work/target/{name}"))).unwrap();
        }
        let repository = places::repository().display();
        let make = format!(
            "#!/bin/sh\n# What is named can be made, and has been.\nexec /usr/bin/make -n -C {repository} \"$@\" >/dev/null\n"
        );
        let envoy = paths::envoy();
        let envoy = format!("#!/bin/sh\nexec {} --use-dynamic-base-id --concurrency 2 \"$@\"\n", envoy.display());
        for (name, text) in [("sudo", SUDO), ("install", INSTALL), ("make", &make), ("envoy", &envoy)] {
            let file = self.path(&format!("bin/{name}"));
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(self.path("authorities.pem"), self.authority.pem()).unwrap();
    }

    /// The text with the directories and ports of this test.
    pub fn here(&self, text: &str) -> String {
        let root = self.directory.path().display();
        let text = text.replace("/etc/ssl/certs/ca-certificates.crt", &format!("{root}/authorities.pem"));
        let text = ["/etc/envoy", "/etc/attestation"]
            .iter()
            .fold(text, |text, directory| text.replace(directory, &format!("{root}{directory}")));
        self.ports.iter().fold(text, |text, (from, to)| text.replace(from, &to.to_string()))
    }

    /// Changes what the README marks as the reader's own, and nothing else.
    pub fn own(&self, configuration: &str) -> String {
        let changes = [
            ("issuer: https://issuer.example.com ", format!("issuer: {} ", self.provider.issuer())),
            ("audiences: [app]", "audiences: [an-application]".into()),
            (
                "address: issuer.example.com, port_value: 443",
                format!("address: 127.0.0.1, port_value: {}", self.issuer),
            ),
        ];
        let is_marked = |line: &str, from: &str| line.contains(from) && line.contains("# yours");
        changes.iter().fold(configuration.to_owned(), |text, (from, to)| {
            assert_eq!(text.lines().filter(|line| is_marked(line, from)).count(), 1, "{from}, marked as yours");
            text.replace(from, to)
        })
    }

    /// Runs a block of commands as they stand, and returns what they print.
    fn run(&mut self, commands: &str) -> String {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let token = self.provider.bearer(json!({"sub": "ann", "email": "ann@example.com"}));
        let output = self.path("output");
        let file = File::create(&output).unwrap();
        let mut child = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &self.here(commands)])
            .current_dir(self.path("work"))
            .env("PATH", path)
            .env("TOKEN", token.trim_start_matches("Bearer "))
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap();
        self.groups.push(child.id());
        let status = child.wait().unwrap();
        let printed = fs::read_to_string(&output).unwrap();
        assert!(status.success(), "{commands}\n{printed}");
        printed
    }

    /// Where Envoy listens for clients.
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports[0].1).into()
    }

    /// What comes before the configuration: the module and the key are in their places.
    pub fn prepare(&mut self) {
        commands().iter().take(2).for_each(|step| drop(self.run(step)));
    }

    /// Waits as a reader would who has started something.
    fn wait_for_keyset(&self) {
        let address = self.address();
        eventually("the keyset", || {
            let reply = Client::try_connect(address).ok()?.try_send(&Request::get(JWKS_PATH)).ok()?;
            (reply.status == 200).then_some(())
        });
    }

    fn follow(&mut self, steps: &[String], configuration: &str) {
        let (before, after) = steps.split_at(2);
        before.iter().for_each(|step| drop(self.run(step)));
        fs::write(self.path("etc/envoy/envoy.yaml"), self.here(&self.own(configuration))).unwrap();
        let [check, start, look] = after else { panic!("three blocks of commands after the configuration: {after:?}") };
        let said = self.run(check);
        assert!(said.contains("OK") && said.contains("nothing is wrong"), "{said}");
        self.run(start);
        self.wait_for_keyset();
        let said = self.run(look);
        let mut answers = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
        let [keyset, user] =
            [answers.next(), answers.next()].map(|it| it.unwrap().unwrap_or_else(|e| panic!("{e}: {said}")));
        assert_eq!(keyset["keys"].as_array().map(Vec::len), Some(1), "{keyset}");
        assert_eq!((&user["verified"], &user["claims"]["sub"]), (&json!(true), &json!("ann")), "{user:#}");
        assert!(said.contains("healthy") && !said.contains("unhealthy"), "{said}");
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for group in &self.groups {
            // A group whose commands have all ended is gone.
            let _ = Command::new("kill").arg("--").arg(format!("-{group}")).output();
        }
    }
}

fn section() -> String {
    let text = fs::read_to_string(places::repository().join(README)).unwrap();
    let (_, section) = text.split_once("\n## In your own Envoy\n").unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// The blocks of commands, without their indentation.
fn commands() -> Vec<String> {
    let section = section();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| block.lines().map(str::trim_start).collect::<Vec<_>>().join("\n")).collect()
}

#[test]
fn the_readmes_steps_end_with_a_verified_user() {
    if !only_on(Host::Wasm, "they are about the Wasm module") {
        return;
    }
    let mut reader = Reader::new();
    reader.follow(&commands(), &block(README, "envoy.yaml", "yaml"));
    let nobody = Client::connect(reader.address()).send(&Request::get("/"));
    assert_eq!(nobody.status, 401);
}

/// What the README says of the native module, done to the other steps.
#[test]
fn the_native_steps_end_with_a_verified_user() {
    if !only_on(Host::Native, "it is about the native module") {
        return;
    }
    let said = section();
    for (_, natively) in NATIVELY {
        assert!(said.contains(natively), "the README says {natively}");
    }
    let steps: Vec<_> = commands()
        .into_iter()
        .map(|step| NATIVELY.iter().fold(step, |step, (wasm, native)| step.replace(wasm, native)))
        .collect();
    Reader::new().follow(&steps, &native_configuration());
}

/// The README's configuration with the native filters in the place of two, and without what serves the key.
fn native_configuration() -> String {
    let text = block(README, "envoy.yaml", "yaml");
    let lines: Vec<&str> = text.lines().collect();
    let place = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    let filters = block(README, "native", "yaml");
    let indented: Vec<_> = filters.lines().map(|line| format!("          {line}")).collect();
    let indented: Vec<_> = indented.iter().map(String::as_str).collect();
    let (resolver, router) =
        (place("          - name: resolve-route"), place("          - name: envoy.filters.http.router"));
    let (listener, clusters) = (place("  - name: signing_key"), place("  clusters:"));
    let other = place("  - name: idp");
    [
        &lines[place("admin:")..resolver],
        &indented,
        &lines[router..listener],
        &lines[clusters..=clusters],
        &lines[other..],
    ]
    .concat()
    .join("\n")
}
