//! What holds for a route: the plugin's settings, or those and what the route's metadata overrides.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::claims::Plan;
use crate::config::{OnMissingIdentity, PluginClaims, Settings};
use crate::host::{Host, Level};
use crate::protobuf::metadata_namespace;

/// The namespace of route metadata that is the filter's.
const NAMESPACE: &str = "attestation";
/// Metadata that is read anew rather than kept beyond this many different ones.
const MAX_ROUTES: usize = 1024;

/// What holds for a route, worked out.
#[derive(Debug)]
pub struct Route {
    /// Tells routes apart that lead to different assertions.
    pub id: usize,
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
    last_id: Cell<usize>,
    seen: RefCell<BTreeMap<Vec<u8>, Verdict>>,
}

/// What metadata turned out to be.
type Verdict = Result<Rc<Route>, BadRoute>;

impl Routes {
    /// Routes under these settings.
    #[must_use]
    pub fn new(settings: Settings, plugin: Rc<PluginClaims>) -> Self {
        let default = Rc::new(route(0, &settings, &plugin));
        Self { settings, plugin, default, last_id: Cell::new(0), seen: RefCell::default() }
    }

    /// What holds for the current request's route.
    ///
    /// # Errors
    /// [`BadRoute`] if its metadata is invalid, which is logged when it is first seen.
    pub fn current(&self, host: &impl Host) -> Verdict {
        let metadata = host.route_metadata().map_err(|_| BadRoute)?;
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
            Ok(settings) => Ok(Rc::new(route(self.next_id(), &settings, &self.plugin))),
            Err(error) => {
                host.log(Level::Error, &format!("{error}; requests on this route are answered 500"));
                Err(BadRoute)
            }
        }
    }

    /// IDs are never used again, as assertions may be kept by them.
    fn next_id(&self) -> usize {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }
}

fn route(id: usize, settings: &Settings, plugin: &PluginClaims) -> Route {
    Route {
        id,
        pass_identity_headers: settings.pass_identity_headers,
        on_missing_identity: settings.on_missing_identity,
        plan: Plan::new(settings, plugin),
    }
}
