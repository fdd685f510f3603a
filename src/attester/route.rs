//! What holds for a route: the plugin's settings, or those and what the route overrides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::refusal::Refusal;
use super::told::Told;
use crate::claims::{OnMissingIdentity, Plan, PluginClaims, Settings};
use crate::config::{Config, for_route};
use crate::host::{Level, RequestHost, RouteSettings, Unreadable};

/// Settings that are read anew rather than kept beyond this many different ones.
const MAX_ROUTES: usize = 1024;

/// What holds for a route, worked out.
#[derive(Debug)]
pub(super) struct Route {
    /// Whether an assertion is injected.
    pub(super) pass_identity_headers: bool,
    /// What to do with a request without an identity.
    pub(super) on_missing_identity: OnMissingIdentity,
    /// The claims.
    pub(super) plan: Plan,
}

impl Route {
    pub(super) fn new(settings: &Settings, plugin: &PluginClaims) -> Self {
        Self {
            pass_identity_headers: settings.pass_identity_headers,
            on_missing_identity: settings.on_missing_identity,
            plan: Plan::new(settings, plugin),
        }
    }
}

/// The settings of routes that a worker has seen, and what they turned out to be.
#[derive(Debug, Default)]
pub(super) struct SeenRoutes(RefCell<BTreeMap<Vec<u8>, Verdict>>);

/// None for settings that cannot be used.
type Verdict = Option<Arc<Route>>;

/// The plugin's side of every route.
pub(super) struct RouteDefaults<'a> {
    pub(super) config: &'a Config,
    pub(super) route: &'a Arc<Route>,
    pub(super) told: &'a Told,
}

impl SeenRoutes {
    /// What holds for a request's route.
    pub(super) fn current(&self, defaults: &RouteDefaults<'_>, host: &impl RequestHost) -> Result<Arc<Route>, Refusal> {
        let settings = match host.route_settings() {
            Ok(None) => return Ok(Arc::clone(defaults.route)),
            Ok(Some(settings)) => settings,
            Err(Unreadable) => {
                refuse(defaults, host, "its metadata cannot be read");
                return Err(Refusal::BadRoute);
            }
        };
        if let Some(known) = self.0.borrow().get(settings.key) {
            return known.clone().ok_or(Refusal::BadRoute);
        }
        let route = read(defaults, settings, host);
        let mut seen = self.0.borrow_mut();
        if seen.len() >= MAX_ROUTES {
            seen.clear();
        }
        seen.insert(settings.key.to_vec(), route.clone());
        route.ok_or(Refusal::BadRoute)
    }
}

fn read(defaults: &RouteDefaults<'_>, settings: RouteSettings<'_>, host: &impl RequestHost) -> Verdict {
    let of_plugin = &defaults.config.settings;
    match for_route(of_plugin, settings.members) {
        Ok(settings) if settings == *of_plugin => Some(Arc::clone(defaults.route)),
        Ok(settings) => Some(Arc::new(Route::new(&settings, &defaults.config.claims))),
        Err(error) => {
            refuse(defaults, host, &error.to_string());
            None
        }
    }
}

fn refuse(defaults: &RouteDefaults<'_>, host: &impl RequestHost, reason: &str) {
    let message = format!("route {}: {reason}; requests on it are answered 500", host.route_name());
    defaults.told.once(host.process(), defaults.config.fingerprint.as_str(), Level::Error, &message);
}
