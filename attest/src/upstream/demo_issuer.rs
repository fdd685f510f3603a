//! For demos: an identity provider of one key and three invented users. Envoy's `jwt_authn` verifies its tokens
//! like those of any other issuer.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use attestation_filter::keys::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::key_file;

/// The issuer that its tokens name.
const ISSUER: &str = "https://idp.demo.example";
const LIFETIME_SECONDS: u64 = 3600;
/// Cookies go a little before their tokens do, so that a browser never sends an expired one.
const COOKIE_SECONDS: u64 = LIFETIME_SECONDS - 60;

/// An invented user.
pub(super) struct DemoUser {
    /// The name in `/demo/sign-in?user=…`.
    pub(super) login: &'static str,
    name: &'static str,
    groups: &'static [&'static str],
}

/// The users of every demo.
pub(super) const USERS: [DemoUser; 3] = [
    DemoUser { login: "ann", name: "Ann Arbor", groups: &["engineering", "on-call"] },
    DemoUser { login: "bob", name: "Bob Ørsted", groups: &["support"] },
    DemoUser { login: "zoe", name: "Zoë Ångström", groups: &["engineering", "admins"] },
];

/// Signs tokens for the invented users.
pub(super) struct DemoIssuer {
    key: EncodingKey,
    kid: String,
    cookie: String,
}

impl DemoIssuer {
    /// # Errors
    /// When the file is no P-256 key file, or the cookie's name is none (RFC 6265, section 4.1.1).
    pub(super) fn from_file(path: &Path, cookie: &str) -> anyhow::Result<Self> {
        let keys = key_file::parse(&key_file::read(path)?, path)?;
        let SigningKey::P256(key) = keys.signing_key() else {
            bail!("the demo issuer's key in {} is not P-256; make one with: attest keygen", path.display());
        };
        let in_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if cookie.is_empty() || !cookie.bytes().all(in_names) {
            bail!("{cookie:?} is no name for a cookie; use letters, digits, _ and -");
        }
        let der = key.pkcs8_der().ok().context("cannot encode the demo issuer's key")?;
        let kid = keys.signing_key().public_key().kid().to_owned();
        Ok(Self { key: EncodingKey::from_ec_der(&der), kid, cookie: cookie.to_owned() })
    }

    /// The `Set-Cookie` value that signs a user in; none if there is no such user.
    ///
    /// # Errors
    /// When the key does not sign.
    pub(super) fn sign_in(&self, login: &str) -> anyhow::Result<Option<String>> {
        let Some(user) = USERS.iter().find(|user| user.login == login) else { return Ok(None) };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        let token = jsonwebtoken::encode(&header, &claims(user), &self.key).context("cannot sign a demo token")?;
        Ok(Some(self.set_cookie(&token, COOKIE_SECONDS)))
    }

    /// The `Set-Cookie` value that signs out.
    pub(super) fn sign_out(&self) -> String {
        self.set_cookie("", 0)
    }

    fn set_cookie(&self, value: &str, seconds: u64) -> String {
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax", self.cookie)
    }
}

fn claims(user: &DemoUser) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "iss": ISSUER,
        "sub": user.login,
        "email": format!("{}@example.com", user.login),
        "name": user.name,
        "groups": user.groups,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assertion::{Expected, check};
    use crate::clock;
    use crate::keyset::Keyset;
    use crate::new_key::KeyType;

    #[test]
    fn a_signed_in_user_has_a_token_that_the_issuer_s_keyset_verifies() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("issuer.pem");
        std::fs::write(&path, KeyType::P256.generate().unwrap()).unwrap();
        let issuer = DemoIssuer::from_file(&path, "demo_user").unwrap();
        let cookie = issuer.sign_in("zoe").unwrap().unwrap();
        let token = cookie.strip_prefix("demo_user=").unwrap().split(';').next().unwrap();
        let keys = key_file::parse(&key_file::read(&path).unwrap(), &path).unwrap();
        let keyset = Keyset::parse(keys.keyset().json().as_bytes()).unwrap();
        let expected = Expected { issuers: vec![ISSUER.to_owned()], ..Expected::default() };
        let verdict = check(token, Ok(&keyset), &expected, clock::now());
        assert!(verdict.is_good(), "{:?}", verdict.faults);
        assert!(issuer.sign_in("mallory").unwrap().is_none());
        assert!(DemoIssuer::from_file(&path, "a;b").is_err());
    }
}
