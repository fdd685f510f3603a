//! What holds for a route: the plugin's settings, or those and what the route's metadata overrides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::claims::Plan;
use crate::config::{OnMissingIdentity, PluginClaims, Settings};
use crate::host::{Host, Level, Unreadable};
use crate::value::protobuf::metadata_namespace;

/// The namespace of route metadata that is the filter's.
const NAMESPACE: &str = "attestation";
/// Metadata that is read anew rather than kept beyond this many different ones.
const MAX_ROUTES: usize = 1024;

/// What holds for a route, worked out.
#[derive(Debug)]
pub struct Route {
    /// Whether an assertion is injected.
    pub pass_identity_headers: bool,
    /// What happens to a request of nobody.
    pub on_missing_identity: OnMissingIdentity,
    /// The claims.
    pub plan: Plan,
}

/// A route whose metadata cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRoute;

/// The routes that a worker has seen, by their metadata.
#[derive(Debug)]
pub struct Routes {
    settings: Settings,
    plugin: Rc<PluginClaims>,
    default: Rc<Route>,
    seen: RefCell<BTreeMap<Vec<u8>, Verdict>>,
}

/// What metadata turned out to be.
type Verdict = Result<Rc<Route>, BadRoute>;

impl Routes {
    /// Routes under these settings.
    #[must_use]
    pub fn new(settings: Settings, plugin: Rc<PluginClaims>) -> Self {
        let default = Rc::new(route(&settings, &plugin));
        Self { settings, plugin, default, seen: RefCell::default() }
    }

    /// What holds for the current request's route.
    ///
    /// # Errors
    /// [`BadRoute`] if its metadata is invalid, which is logged when it is first seen.
    pub fn current(&self, host: &impl Host) -> Verdict {
        let metadata = host.route_metadata().map_err(|Unreadable| {
            refuse(host, "its metadata cannot be read");
            BadRoute
        })?;
        if metadata.is_empty() {
            return Ok(Rc::clone(&self.default));
        }
        if let Some(known) = self.seen.borrow().get(&metadata) {
            return known.clone();
        }
        let route = self.read(&metadata, host);
        let mut seen = self.seen.borrow_mut();
        if seen.len() >= MAX_ROUTES {
            seen.clear();
        }
        seen.insert(metadata, route.clone());
        route
    }

    fn read(&self, metadata: &[u8], host: &impl Host) -> Verdict {
        let Some(overrides) = metadata_namespace(metadata, NAMESPACE) else { return Ok(Rc::clone(&self.default)) };
        match self.settings.for_route(overrides) {
            Ok(settings) if settings == self.settings => Ok(Rc::clone(&self.default)),
            Ok(settings) => Ok(Rc::new(route(&settings, &self.plugin))),
            Err(error) => {
                refuse(host, &error.to_string());
                Err(BadRoute)
            }
        }
    }
}

fn route(settings: &Settings, plugin: &PluginClaims) -> Route {
    Route {
        pass_identity_headers: settings.pass_identity_headers,
        on_missing_identity: settings.on_missing_identity,
        plan: Plan::new(settings, plugin),
    }
}

fn refuse(host: &impl Host, reason: &str) {
    let name = host.route_name();
    host.log(Level::Error, &format!("route {name:?}: {reason}; requests on it are answered 500"));
}
