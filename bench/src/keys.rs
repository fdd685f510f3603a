//! Signing keys, made for one run.

use anyhow::{Context as _, anyhow};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The largest number of keys that any variant publishes.
const MOST: usize = 50;

pub(crate) struct Keys {
    /// PKCS#8, the first one signs.
    der: Vec<Vec<u8>>,
    public: Vec<u8>,
}

impl Keys {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let key = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let keys = (0..MOST).map(|_| key()).collect::<Result<Vec<_>, _>>().map_err(|error| anyhow!("{error}"))?;
        let der = keys.iter().map(|key| key.to_pkcs8v1().map(|der| der.as_ref().to_vec()));
        let der = der.collect::<Result<_, _>>().map_err(|error| anyhow!("{error}"))?;
        let public = keys.first().context("no key")?.public_key().as_ref().to_vec();
        Ok(Self { der, public })
    }

    /// The signing key, PKCS#8, DER, with its public half.
    pub(crate) fn signing(&self) -> &[u8] {
        self.der.first().map_or(&[], Vec::as_slice)
    }

    /// PEM, so many blocks.
    pub(crate) fn pem(&self, number: usize) -> String {
        let block = |der: &Vec<u8>| {
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
        };
        self.der.iter().take(number).map(block).collect()
    }

    /// Something as long as the filter's key ID, which is all that matters here.
    pub(crate) fn kid(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.public);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The claims of a token, if its signature is the signing key's.
    pub(crate) fn verified(&self, token: &str) -> anyhow::Result<serde_json::Value> {
        let (signed, signature) = token.rsplit_once('.').context("not a compact token")?;
        let (_, payload) = signed.split_once('.').context("not a compact token")?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public)
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)
            .map_err(|_| anyhow!("the signature is wrong"))?;
        Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
    }

    /// What Envoy's foreign function `sign` takes, over a message of so many bytes.
    pub(crate) fn sign_request(&self, message: usize) -> Vec<u8> {
        #[derive(prost::Message)]
        struct Request {
            #[prost(string, tag = "1")]
            hash: String,
            #[prost(bytes, tag = "2")]
            key: Vec<u8>,
            #[prost(bytes, tag = "3")]
            text: Vec<u8>,
        }
        let request = Request { hash: "sha256".into(), key: self.signing().to_vec(), text: vec![b'a'; message] };
        prost::Message::encode_to_vec(&request)
    }
}
