//! `attest verify`: is this assertion good, and if not, why not?

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::assertion::{self, Expected, Fault, Token, Verdict};
use crate::keyset::{Fetcher, Source, TrustArgs};
use crate::terminal::{Rows, Stream};
use crate::{Outcome, clock, terminal};

/// Decode and verify an assertion, and say in words what is wrong with it
///
/// The signature is checked against the keyset, then the times, and the audience and issuer where they are
/// given. Everything that is wrong is named. The header and the claims are shown in any case.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest verify \"$TOKEN\" --jwks https://app.example.com/.well-known/pomerium/jwks.json
  attest verify - --jwks keyset.json --audience app.example.com < token.txt

Exit codes:
  0  the assertion is good
  1  it is not, or the keyset cannot be had
  2  the command line is wrong")]
pub(crate) struct Args {
    /// The token, with or without "Bearer " before it; - reads it from standard input
    token: String,

    /// Where the keyset is: a URL, or a file that attest jwks wrote
    #[arg(long, value_name = "URL|FILE")]
    jwks: Source,

    /// The audience (aud) that it must be for; if given more than once, any of them
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,

    /// The issuer (iss) that it must be from; if given more than once, any of them
    #[arg(long, value_name = "ISSUER")]
    issuer: Vec<String>,

    /// How far the clocks of signer and verifier may be apart, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clock::duration, default_value = "0")]
    leeway: Duration,

    #[command(flatten)]
    trust: TrustArgs,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let text = token_text(&args.token)?;
    let verdict = judge(&text, args)?;
    let shown = if json { format!("{}\n", terminal::pretty(&verdict_json(&verdict))) } else { report(&verdict) };
    terminal::print(&shown)?;
    Ok(if verdict.is_good() { Outcome::Done } else { Outcome::Refused })
}

fn token_text(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut bytes = Vec::new();
    std::io::stdin().take(1 << 20).read_to_end(&mut bytes).context("cannot read the token from standard input")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Without a keyset there still is something to show: the token, and that nothing vouches for it.
fn judge(text: &str, args: &Args) -> anyhow::Result<Verdict> {
    let expected = Expected { audiences: args.audience.clone(), issuers: args.issuer.clone(), leeway: args.leeway };
    Ok(match Fetcher::new(&args.trust)?.fetch(&args.jwks) {
        Ok(fetched) => assertion::check(text, &fetched.keyset, &expected, clock::now()),
        Err(error) => {
            let unavailable = Fault::NoKeyset { problem: error.problem, advice: error.advice };
            match Token::parse(text) {
                Ok(token) => Verdict { token: Some(token), faults: vec![unavailable] },
                Err(fault) => Verdict { token: None, faults: vec![fault, unavailable] },
            }
        }
    })
}

fn verdict_json(verdict: &Verdict) -> Value {
    let token = verdict.token.as_ref();
    json!({
        "verified": verdict.is_good(),
        "signature": verdict.is_signed(),
        "faults": verdict.faults.iter().map(Fault::json).collect::<Vec<_>>(),
        "kid": token.and_then(Token::kid),
        "header": token.map(|token| &token.header),
        "claims": token.map(|token| &token.claims),
    })
}

fn report(verdict: &Verdict) -> String {
    let mut text = String::new();
    if let Some(token) = &verdict.token {
        text.push_str(&section("Header", &token.header, clock::now()));
        text.push_str(&section("Claims", &token.claims, clock::now()));
    }
    text.push_str(&conclusion(verdict));
    text
}

fn section(title: &str, members: &Map<String, Value>, now: f64) -> String {
    let mut rows = Rows::default();
    for (name, value) in members {
        rows.push(&terminal::plain(name), shown(name, value, now));
    }
    format!("{}\n{}\n", Stream::Stdout.strong(title), rows.text(Stream::Stdout))
}

fn shown(name: &str, value: &Value, now: f64) -> String {
    let text = match value {
        Value::String(text) if !text.is_empty() => terminal::plain(text),
        other => terminal::compact(other),
    };
    match value.as_f64().and_then(|seconds| Some((seconds, clock::utc(seconds)?))) {
        Some((seconds, date)) if ["iat", "nbf", "exp"].contains(&name) => {
            let when = format!("{date}, {}", clock::relative(seconds, now));
            format!("{text}  {}", Stream::Stdout.label(&when))
        }
        _ => text,
    }
}

fn conclusion(verdict: &Verdict) -> String {
    let kid = verdict.token.as_ref().and_then(Token::kid).map(terminal::plain).unwrap_or_default();
    if verdict.is_good() {
        return format!("{} with kid {kid}\n", Stream::Stdout.good("✔ verified"));
    }
    let mut text = String::new();
    if verdict.is_signed() {
        text.push_str(&format!("{} with kid {kid}, but:\n", Stream::Stdout.good("✔ signed")));
    }
    for fault in &verdict.faults {
        text.push_str(&format!("{} {fault}\n", Stream::Stdout.bad("✘")));
        text.push_str(&format!("  {}\n", Stream::Stdout.label(fault.advice())));
    }
    if !verdict.is_signed() && verdict.token.is_some() {
        text.push_str("  Nothing vouches for the header and claims above.\n");
    }
    text
}
