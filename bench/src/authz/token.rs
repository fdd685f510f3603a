//! The token that the filter makes, by a native library.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use prost_types::{Struct, Value, value::Kind};
use serde::Serialize;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

const LIFETIME: u64 = 300;

/// Who computes the signature.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Library {
    Ring,
    AwsLc,
    /// Nobody: a constant takes its place, to show what the way to the service costs.
    Nothing,
}

enum Signer {
    Ring(Box<ring::signature::EcdsaKeyPair>, ring::rand::SystemRandom),
    AwsLc(Box<aws_lc_rs::signature::EcdsaKeyPair>, aws_lc_rs::rand::SystemRandom),
    Nothing,
}

impl Signer {
    fn new(library: Library, pkcs8: &[u8]) -> anyhow::Result<Self> {
        Ok(match library {
            Library::Ring => {
                use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING as ES256, EcdsaKeyPair};
                let random = ring::rand::SystemRandom::new();
                let key = EcdsaKeyPair::from_pkcs8(&ES256, pkcs8, &random).map_err(|error| anyhow!("{error}"))?;
                Self::Ring(Box::new(key), random)
            }
            Library::AwsLc => {
                use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING as ES256, EcdsaKeyPair};
                let key = EcdsaKeyPair::from_pkcs8(&ES256, pkcs8).map_err(|error| anyhow!("{error}"))?;
                Self::AwsLc(Box::new(key), aws_lc_rs::rand::SystemRandom::new())
            }
            Library::Nothing => Self::Nothing,
        })
    }

    fn sign(&self, input: &str, token: &mut String) -> Option<()> {
        match self {
            Self::Ring(key, random) => URL_SAFE_NO_PAD.encode_string(key.sign(random, input.as_bytes()).ok()?, token),
            Self::AwsLc(key, random) => URL_SAFE_NO_PAD.encode_string(key.sign(random, input.as_bytes()).ok()?, token),
            Self::Nothing => URL_SAFE_NO_PAD.encode_string([0; 64], token),
        }
        Some(())
    }
}

pub(crate) struct Tokens {
    signer: Signer,
    header: String,
}

/// Members in the order in which the filter has them.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    email: &'a str,
    exp: u64,
    groups: Vec<&'a str>,
    iat: u64,
    iss: &'a str,
    jti: &'a str,
    name: &'a str,
    sid: &'a str,
    sub: &'a str,
    user: &'a str,
}

impl Tokens {
    pub(crate) fn new(library: Library, pkcs8: &[u8], kid: &str) -> anyhow::Result<Self> {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT"}}"#));
        Ok(Self { signer: Signer::new(library, pkcs8)?, header })
    }

    /// The compact token about this identity, for this host; none if it cannot be made.
    pub(crate) fn token(&self, identity: &Struct, authority: &str) -> Option<String> {
        let host = authority.split(':').next()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let mut jti = [0; Hyphenated::LENGTH];
        let user = text(identity, "sub");
        let claims = Claims {
            aud: host,
            email: text(identity, "email"),
            exp: now + LIFETIME,
            groups: list(identity, "groups"),
            iat: now,
            iss: host,
            jti: Uuid::new_v4().hyphenated().encode_lower(&mut jti),
            name: text(identity, "name"),
            sid: text(identity, "sid"),
            sub: user,
            user,
        };
        let payload = serde_json::to_vec(&claims).ok()?;
        let mut token = String::with_capacity(self.header.len() + payload.len() * 4 / 3 + 96);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        let mut signature = String::with_capacity(88);
        self.signer.sign(&token, &mut signature)?;
        token.push('.');
        token.push_str(&signature);
        Some(token)
    }
}

fn text<'a>(identity: &'a Struct, name: &str) -> &'a str {
    identity.fields.get(name).and_then(as_text).unwrap_or_default()
}

fn list<'a>(identity: &'a Struct, name: &str) -> Vec<&'a str> {
    match identity.fields.get(name).and_then(|value| value.kind.as_ref()) {
        Some(Kind::ListValue(list)) => list.values.iter().filter_map(as_text).collect(),
        _ => Vec::new(),
    }
}

fn as_text(value: &Value) -> Option<&str> {
    match value.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}
