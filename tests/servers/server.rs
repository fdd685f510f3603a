//! A server's process, its files and its port.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::eventually;
use tempfile::TempDir;

/// A running server. Dropping it ends the process.
pub struct Server {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

/// How often another port is tried when a server could not have the one it was given.
const ATTEMPTS: usize = 5;

impl Server {
    /// Starts `program`, of Debian's package `package`. `arguments` writes the server's files into a directory and says
    /// what to call the program with, for a port on the loopback interface.
    ///
    /// # Panics
    /// If it is not installed, naming the package, or if it does not listen.
    pub fn start(program: &str, package: &str, arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::try_start(program, package, &arguments) {
                return server;
            }
        }
        panic!("{program} has not listened on any of {ATTEMPTS} ports; see its log above");
    }

    fn try_start(program: &str, package: &str, arguments: &impl Fn(&Path, u16) -> Vec<String>) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory for the server's files");
        // Servers that run as root give that up, and read their files all the same.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("let others read it");
        let address = free_address();
        let log = directory.path().join("server.log");
        let output = File::create(&log).expect("create the log");
        let mut child = Command::new(program)
            .args(arguments(directory.path(), address.port()))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("share the log"))
            .stderr(output)
            // A server that ends takes its process group with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}", advice(program, package, &error)));
        let listens = eventually(program, || {
            if child.try_wait().expect("ask whether it runs").is_some() {
                return Some(false);
            }
            TcpStream::connect(address).is_ok().then_some(true)
        });
        if !listens {
            eprintln!("--- {program} ended ---\n{}", fs::read_to_string(log).unwrap_or_default());
            return None;
        }
        Some(Self { child, address, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With its own children: it leads a process group.
        let asked = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.child.id())]).status();
        if asked.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn advice(program: &str, package: &str, error: &std::io::Error) -> String {
    if error.kind() == ErrorKind::NotFound {
        return format!(
            "no {program}: Debian's package `{package}` has it; scripts/install-servers installs it, as root"
        );
    }
    format!("cannot run {program} (package `{package}`): {error}")
}

/// A port of the kernel's choice, free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
