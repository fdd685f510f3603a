//! `attest verify`: is this assertion good, and if not, why not?

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::{Map, Value, json};

use crate::assertion::{self, Expected, Fault, Token, Verdict};
use crate::keyset::{Fetcher, Source, TrustArgs};
use crate::terminal::{Rows, Stream};
use crate::{Outcome, clock, input, terminal};

/// Decode and verify an assertion, and say in words what is wrong with it
///
/// The signature is checked against the keyset, then the times, and the audience and issuer where they are
/// given. Everything that is wrong is named, and what was not checked. The header and the claims are shown in any case.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest verify \"$TOKEN\" --jwks https://app.example.com/.well-known/pomerium/jwks.json
  attest verify - --jwks keyset.json --audience app.example.com < token.txt

Exit codes:
  0  the assertion is good
  1  it is not, or there is no keyset
  2  the command line is wrong")]
pub(crate) struct Args {
    /// The token, with or without "Bearer " before it; - reads it from standard input
    token: String,

    /// Where the keyset is: a URL, or a file that attest jwks wrote
    #[arg(long, value_name = "URL|FILE|-")]
    jwks: Source,

    /// The audience (aud) that it must be for; if given more than once, any of them
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,

    /// The issuer (iss) that it must be from; if given more than once, any of them
    #[arg(long, value_name = "ISSUER")]
    issuer: Vec<String>,

    /// How far the clocks of signer and verifier may be apart
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "0")]
    leeway: Duration,

    #[command(flatten)]
    trust: TrustArgs,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let keyset_is_input = matches!(&args.jwks, Source::File(path) if input::is_standard_input(path));
    anyhow::ensure!(
        args.token != "-" || !keyset_is_input,
        "standard input cannot be the token and the keyset at once; put one of them into a file"
    );
    let text = token_text(&args.token)?;
    let verdict = judge(&text, args)?;
    let shown =
        if json { format!("{}\n", terminal::pretty(&verdict_json(&verdict, args))) } else { report(&verdict, args) };
    terminal::print(&shown)?;
    Ok(if verdict.is_good() { Outcome::Done } else { Outcome::Refused })
}

fn token_text(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let text = input::read(Path::new(argument))
        .map_err(|error| anyhow!("cannot read the token from standard input: {error}"))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn judge(text: &str, args: &Args) -> anyhow::Result<Verdict> {
    let expected = Expected { audiences: args.audience.clone(), issuers: args.issuer.clone(), leeway: args.leeway };
    let fetched = Fetcher::new(&args.trust, args.jwks.is_https())?.fetch(&args.jwks);
    let judge = |keyset| assertion::check(text, keyset, &expected, clock::now());
    Ok(match fetched {
        Ok(fetched) => judge(Ok(&fetched.keyset)),
        Err(error) => judge(Err(error)),
    })
}

fn verdict_json(verdict: &Verdict, args: &Args) -> Value {
    let token = verdict.token.as_ref();
    json!({
        "verified": verdict.is_good(),
        "signature": verdict.is_signed(),
        "faults": verdict.faults.iter().map(Fault::json).collect::<Vec<_>>(),
        "not_checked": not_checked(verdict, args),
        "kid": token.and_then(Token::kid),
        "header": token.map(|token| &token.header),
        "claims": token.map(|token| &token.claims),
    })
}

/// The signature, where there is no keyset to check it with, and the claims that nothing says what they must be.
fn not_checked(verdict: &Verdict, args: &Args) -> Vec<&'static str> {
    let signature = verdict.is_without_keyset().then_some("signature");
    signature.into_iter().chain(args.unnamed()).collect()
}

impl Args {
    /// The claims that nothing on the command line says what they must be.
    fn unnamed(&self) -> impl Iterator<Item = &'static str> {
        let claims = [("audience", self.audience.is_empty()), ("issuer", self.issuer.is_empty())];
        claims.into_iter().filter_map(|(name, is_unnamed)| is_unnamed.then_some(name))
    }
}

fn report(verdict: &Verdict, args: &Args) -> String {
    let mut text = String::new();
    if let Some(token) = &verdict.token {
        text.push_str(&section("Header", &token.header, clock::now()));
        text.push_str(&section("Claims", &token.claims, clock::now()));
    }
    text.push_str(&conclusion(verdict));
    let unchecked = not_checked(verdict, args).join(", ");
    if !unchecked.is_empty() {
        let options: Vec<String> = args.unnamed().map(|name| format!("--{name}")).collect();
        let cure = match options.as_slice() {
            [] => String::new(),
            options => format!("; name what it must be with {}", options.join(" and ")),
        };
        text.push_str(&Stream::Stdout.warn(&format!("  not checked: {unchecked}{cure}\n")));
    }
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
