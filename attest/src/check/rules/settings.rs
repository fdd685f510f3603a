//! The filter's settings, judged by the code that reads them in Envoy.

use attestation_filter::config::{ConfigError, for_route, route_members};
use attestation_filter::value::Object;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::node::{Node, last_part};
use super::super::ours;
use super::required;

pub(super) fn read(context: &Context<'_>, found: &mut Findings) {
    if let Err(error) = &context.ours.config {
        let node = field(error).map_or(context.ours.setting(""), |field| context.ours.setting(field));
        found.add(Id::ConfigurationRefused, node, error.to_string(), allowed(error));
    }
    if let Ok(config) = &context.ours.config {
        required::constants(context, context.ours.setting(""), &config.settings, None, found);
    }
    if let Some(claims) = context.ours.settings.and_then(|settings| settings.get("claims")) {
        constant_user(claims, found);
    }
    for routes in &context.ours.chain.routes {
        for host in routes.hosts() {
            of_place(context, host, false, found);
        }
        for (_, route) in routes.all() {
            of_place(context, route, true, found);
        }
        of_place(context, routes.0, false, found);
    }
}

/// What a route, a virtual host or a route configuration says to the filter.
fn of_place(context: &Context<'_>, place: &Node, is_route: bool, found: &mut Findings) {
    let is_wasm = context.ours.is_wasm();
    if let Some(metadata) = place.at(&["metadata", "filter_metadata", "attestation"]) {
        if !is_wasm {
            let cure = "typed_per_filter_config: {attestation: {\"@type\": \
                        type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute, …}}";
            found.add(Id::SettingsNotRead, metadata, "the native module reads no metadata of a route", cure);
        } else if !is_route {
            let cure = "move metadata to each route, or the setting into the filter's configuration";
            found.add(Id::SettingsNotRead, metadata, "the Wasm module reads the metadata of routes only", cure);
        } else {
            of_route(context, metadata, metadata.json().to_string().as_bytes(), found);
        }
    }
    let Some(of_filters) = place.get("typed_per_filter_config") else { return };
    of_no_filter(context, of_filters, found);
    let Some(config) = of_filters.get(context.ours.filter.name) else { return };
    let (kind, body) = config.unwrapped();
    match last_part(kind) {
        "DynamicModuleFilterPerRoute" if !is_wasm => {
            let (node, bytes) = ours::settings(body.get("filter_config"));
            of_route(context, node.unwrap_or(config), &bytes, found);
        }
        "FilterConfig" if body.is_true("disabled") => disabled(context, place, config, found),
        "FilterConfig" => {}
        _ if is_wasm => {
            let cure = "metadata: {filter_metadata: {attestation: {…}}} on the route";
            found.add(Id::SettingsNotRead, config, "a Wasm filter has no typed_per_filter_config", cure);
        }
        _ => {}
    }
}

/// Settings for our module under a name that no filter of the chain has.
fn of_no_filter(context: &Context<'_>, of_filters: &Node, found: &mut Findings) {
    let is_filter = |name: &str| context.ours.chain.filters.iter().any(|filter| filter.name == name);
    for member in of_filters.members().iter().filter(|member| !is_filter(&member.name)) {
        let (kind, body) = member.value.unwrapped();
        let module = body.text_at(&["dynamic_module_config", "name"]).unwrap_or_default();
        if last_part(kind) == "DynamicModuleFilterPerRoute" && module.contains("attestation") {
            let message = format!("no filter is called {}", member.name);
            found.add(Id::SettingsNotRead, &member.value, message, format!("{}: …", context.ours.filter.name));
        }
    }
}

/// Where nothing goes to an upstream, nothing is missed.
fn disabled(context: &Context<'_>, place: &Node, config: &Node, found: &mut Findings) {
    let mut goes_on = false;
    place.each(&mut |node| goes_on |= node.get("match").is_some() && node.get("route").is_some());
    if goes_on {
        let message = format!("{} is disabled here", context.ours.filter.name);
        let settings = "{pass_identity_headers: false, on_missing_identity: skip}";
        let cure = if context.ours.is_wasm() {
            format!("on the route, in its place: metadata: {{filter_metadata: {{attestation: {settings}}}}}")
        } else {
            format!("a DynamicModuleFilterPerRoute in its place, with the settings {settings}")
        };
        found.add(Id::FilterDisabledOnRoute, config, message, cure);
    }
}

fn of_route(context: &Context<'_>, node: &Node, settings: &[u8], found: &mut Findings) {
    match (route_members(settings), &context.ours.config) {
        (Err(error), _) => found.add(Id::RouteSettingsRefused, node, error.to_string(), allowed(&error)),
        (Ok(members), Ok(config)) => {
            if let Ok(settings) = for_route(&config.settings, Object::Json(&members)) {
                required::constants(context, node, &settings, Some(&config.settings), found);
            }
        }
        (Ok(_), Err(_)) => {}
    }
    if let Some(claims) = node.get("claims") {
        constant_user(claims, found);
    }
}

fn constant_user(claims: &Node, found: &mut Findings) {
    for claim in ["sub", "user"] {
        if let Some(value) = claims.at(&[claim, "value"]) {
            let message = format!("{claim} is the same for everybody");
            found.add(
                Id::ConstantUser,
                value,
                message,
                format!("{claim}: {{from: …}}, or another claim for the constant"),
            );
        }
    }
}

/// The path of the field that is wrong.
fn field(error: &ConfigError) -> Option<&str> {
    match error {
        ConfigError::Unknown { field, .. } | ConfigError::Invalid { field, .. } => Some(field),
        ConfigError::Key { field, .. } | ConfigError::Signer { field, .. } => Some(field),
        ConfigError::NotJson { .. } => None,
    }
}

fn allowed(error: &ConfigError) -> String {
    match error {
        ConfigError::Unknown { allowed, .. } | ConfigError::Invalid { allowed, .. } => format!("write {allowed}"),
        ConfigError::Key { .. } => "attest keygen -o signing-key.pem makes a key that is taken".into(),
        ConfigError::Signer { .. } | ConfigError::NotJson { .. } => "docs/configuration.md has every field".into(),
    }
}
