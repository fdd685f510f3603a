//! The filter under one configuration, which all threads share, and the configurations of routes.

use std::sync::Arc;

use attestation_filter::attester::Attester;
use attestation_filter::config::route_members;
use attestation_filter::host::{Level, RouteSettings};
use attestation_filter::keys::active::ActiveKeyring;
use attestation_filter::value::Object;
use serde_json::{Map, Value as Json};

use crate::ffi::Stream;
use crate::held::Held;
use crate::metadata::Kinds;
use crate::metrics::Metrics;
use crate::process::{Process, log_line};

/// The filter under one configuration. All threads share it.
pub(crate) struct Plugin {
    pub(crate) attester: Attester,
    pub(crate) metrics: Metrics,
    pub(crate) kinds: Kinds,
    pub(crate) held: Arc<Held>,
}

impl Plugin {
    /// The process while no request is at hand.
    pub(crate) fn process(&self) -> Process<'_> {
        Process { metrics: &self.metrics, stream: None }
    }

    /// The process while this request is at hand.
    pub(crate) fn process_of<'a>(&'a self, stream: &'a Stream<'a>) -> Process<'a> {
        Process { metrics: &self.metrics, stream: Some(stream) }
    }

    /// From now on signs with these keys, if they are some, and wakes the requests that wait for them.
    pub(crate) fn use_keys(&self, keyring: Option<ActiveKeyring>) {
        if let Some(keyring) = keyring {
            self.attester.use_keys(keyring);
            self.held.wake_all();
        }
    }
}

/// The configuration of a route or a virtual host.
pub(crate) struct RouteConfig {
    text: Vec<u8>,
    members: Map<String, Json>,
}

impl RouteConfig {
    /// Reads one; none if it is refused, which is logged.
    pub(crate) fn load(text: &[u8]) -> Option<Self> {
        match route_members(text) {
            Ok(members) => Some(Self { text: text.to_vec(), members }),
            Err(error) => {
                log_line(Level::Error, &format!("configuration of a route rejected: {error}"));
                None
            }
        }
    }

    /// The settings in it.
    pub(crate) fn settings(&self) -> RouteSettings<'_> {
        RouteSettings { key: &self.text, members: Object::Json(&self.members) }
    }
}
