//! Verifies the assertion of a request, with jsonwebtoken.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

pub const HEADER: &str = "X-Pomerium-Jwt-Assertion";
const ALGORITHMS: [Algorithm; 2] = [Algorithm::ES256, Algorithm::RS256];
/// Seconds that the clocks may be apart.
const LEEWAY: u64 = 5;

pub type Failure = Box<dyn Error + Send + Sync>;

#[derive(serde::Deserialize, serde::Serialize)]
pub struct Claims {
    pub sub: String,
    pub email: String,
}

/// Keeps the keyset for `max_age`. An unknown kid fetches it again, but not within `pause`.
pub struct Verifier {
    pub jwks_url: String,
    pub audience: String,
    pub issuer: String,
    pub max_age: Duration,
    pub pause: Duration,
    pub cached: Mutex<Option<(JwkSet, Instant)>>,
}

impl Verifier {
    /// The claims. `values` are all values of the header.
    ///
    /// # Errors
    /// If there is not exactly one assertion, or anything is wrong with it, or the keyset cannot be fetched.
    pub fn verify(&self, values: &[&str]) -> Result<Claims, Failure> {
        let [token] = values else { return Err(format!("{} assertions in place of one", values.len()).into()) };
        let header = decode_header(token)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(format!("algorithm {:?} is not allowed", header.alg).into());
        }
        let key = self.key(&header.kid.ok_or("the assertion names no key")?)?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
        validation.leeway = LEEWAY;
        Ok(decode(token, &DecodingKey::from_jwk(&key)?, &validation)?.claims)
    }

    fn key(&self, kid: &str) -> Result<Jwk, Failure> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((keyset, fetched)) = cached.as_ref().filter(|(_, fetched)| fetched.elapsed() < self.max_age) {
            match keyset.find(kid) {
                Some(key) => return Ok(key.clone()),
                None if fetched.elapsed() < self.pause => return Err(format!("no key has the kid {kid}").into()),
                None => {}
            }
        }
        let request = ureq::get(&self.jwks_url).config().timeout_global(Some(Duration::from_secs(5))).build();
        let keyset: JwkSet = request.call()?.body_mut().read_json()?;
        let (keyset, _) = cached.insert((keyset, Instant::now()));
        Ok(keyset.find(kid).ok_or_else(|| format!("no key has the kid {kid}"))?.clone())
    }
}
