//! `attest from-pomerium`: an Envoy configuration for the routes and the identity settings of a Pomerium configuration.

mod access;
mod catalog;
mod claims;
mod criterion;
mod duration;
mod envoy;
mod headers;
mod left;
mod listen;
mod merge;
mod mutual_tls;
mod options;
mod provider;
mod route;
mod secret;
mod target;
mod url;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Value as Json, json};

use left::Lefts;
use options::Options;

use crate::check::{document, node::Node};
use crate::{Outcome, check, input, terminal};

/// Write an Envoy configuration for the routes and the identity settings of a Pomerium configuration
///
/// Reads a Pomerium configuration in YAML or JSON, or a file with nothing but its routes, and prints a whole Envoy
/// bootstrap. What it could not carry over, and what is left to do by hand, goes to standard error and to the head of
/// the file. No secret of the input is in either. A route whose policy cannot be carried over answers 403.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest from-pomerium config.yaml > envoy.yaml
  attest from-pomerium config.yaml --envoy-version 1.40 > envoy.yaml
  curl -s https://idp.example.com/.well-known/openid-configuration > idp.json
  attest from-pomerium config.yaml --openid-configuration idp.json > envoy.yaml
  attest from-pomerium config.yaml --bearer --host native --json

Exit codes:
  0  every route is carried over; what is left to do is listed
  1  a route or its policy is not, and the configuration that is printed refuses its requests
  2  the configuration cannot be read or has no routes, or the command line is wrong")]
pub(crate) struct Args {
    /// A Pomerium configuration in YAML or JSON; - reads it from standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// Which module Envoy loads
    #[arg(long, value_name = "HOST", default_value = "wasm")]
    host: Host,

    /// The Envoy that will read it, 1.40 for instance; without it, the login is as every supported Envoy takes it
    #[arg(long, value_name = "VERSION", value_parser = check::version)]
    envoy_version: Option<(u32, u32)>,

    /// What the identity provider answers at /.well-known/openid-configuration
    #[arg(long, value_name = "FILE")]
    openid_configuration: Option<PathBuf>,

    /// The client's ID at the identity provider, where the configuration has none
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// Take bearer tokens of the identity provider; without it, browsers are sent to its login
    #[arg(long)]
    bearer: bool,

    /// Where a policy cannot be carried over, let whoever is signed in pass in place of nobody
    #[arg(long)]
    allow_signed_in: bool,
}

/// The module that Envoy loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Host {
    Wasm,
    Native,
}

/// The exit code is the command's own: 2 says that nothing was written.
pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let (envoy, lefts) = match translate(args) {
        Ok(done) => done,
        Err(error) => return Ok(check::unreadable(&error, json)),
    };
    if json {
        let answer = json!({ "envoy": yaml::without_comments(envoy), "left": lefts.json() });
        terminal::print_json(&answer)?;
    } else {
        terminal::print(&format!("{}{}", lefts.comment(), yaml::text(&envoy)))?;
        terminal::remark(lefts.text().trim_end());
    }
    Ok(if lefts.any_closed() { Outcome::Refused } else { Outcome::Done })
}

fn translate(args: &Args) -> anyhow::Result<(Json, Lefts)> {
    translate_text(args, &text(&args.file)?)
}

fn translate_text(args: &Args, text: &str) -> anyhow::Result<(Json, Lefts)> {
    let shown = input::shown(&args.file);
    let documents = document::read(text, &shown).map_err(|error| anyhow!("{}", secret::blunt(&error)))?;
    let document = documents.into_iter().next().ok_or_else(|| anyhow!("{shown} is empty"))?;
    let node = &merge::merged(document);
    let discovery = args.openid_configuration.as_deref().map(discovery).transpose()?;
    let mut lefts = Lefts::default();
    let options = Options::read(args, node, discovery.as_ref(), &mut lefts);
    let routes = options::routes(node);
    anyhow::ensure!(
        !routes.is_empty(),
        "{shown} has no routes; name a Pomerium configuration with routes (or policy), or a list of them"
    );
    catalog::unread(node, &routes, &mut lefts);
    let envoy = envoy::bootstrap(&options, node, &routes, &mut lefts);
    Ok((envoy, lefts))
}

fn text(file: &Path) -> anyhow::Result<String> {
    let shown = input::shown(file);
    let bytes =
        input::read(file).map_err(|error| anyhow!("cannot read {shown}: {error}; name a Pomerium configuration"))?;
    let text = std::str::from_utf8(&bytes).ok().map(str::to_owned);
    text.with_context(|| format!("{shown} is no UTF-8 text; name a Pomerium configuration in YAML or JSON"))
}

fn discovery(file: &Path) -> anyhow::Result<Node> {
    let shown = input::shown(file);
    let documents = document::read(&text(file)?, &shown)?;
    let found = documents.into_iter().find(|document| document.text_at(&["jwks_uri"]).is_some());
    found.with_context(|| {
        format!("{shown} has no jwks_uri; save what the identity provider answers at /.well-known/openid-configuration")
    })
}
