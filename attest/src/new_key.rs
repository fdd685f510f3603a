//! New signing keys, made by AWS-LC, as PKCS#8 PEM (RFC 5958, RFC 7468).

use anyhow::Context as _;
use attestation_filter::keys::write_block;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use zeroize::Zeroizing;

/// The kinds of key that the filter signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyType {
    /// ES256: small, fast, works in every Envoy
    P256,
    /// RS256; needs an Envoy that signs for its modules (1.37 or later), as do the two below
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RS256
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// RS256
    #[value(name = "rsa-4096")]
    Rsa4096,
}

impl KeyType {
    /// The type in words.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::P256 => "P-256, signs with ES256",
            Self::Rsa2048 => "RSA of 2048 bits, signs with RS256",
            Self::Rsa3072 => "RSA of 3072 bits, signs with RS256",
            Self::Rsa4096 => "RSA of 4096 bits, signs with RS256",
        }
    }

    /// A new private key of this type, as one PEM block.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn generate(self) -> anyhow::Result<Zeroizing<String>> {
        let der = match self {
            Self::P256 => p256_der()?,
            Self::Rsa2048 => rsa_der(KeySize::Rsa2048)?,
            Self::Rsa3072 => rsa_der(KeySize::Rsa3072)?,
            Self::Rsa4096 => rsa_der(KeySize::Rsa4096)?,
        };
        Ok(write_block("PRIVATE KEY", &der))
    }
}

fn p256_der() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("cannot make a P-256 key")?;
    let der = key.to_pkcs8v1().context("cannot encode the new key")?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

fn rsa_der(size: KeySize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let key = aws_lc_rs::rsa::KeyPair::generate(size).context("cannot make an RSA key")?;
    let der: Pkcs8V1Der<'static> = key.as_der().context("cannot encode the new key")?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use attestation_filter::keys::Keyring;

    use super::*;

    #[test]
    fn the_filter_reads_every_type_of_new_key() {
        for (key_type, alg) in [(KeyType::P256, "ES256"), (KeyType::Rsa2048, "RS256")] {
            let pem = key_type.generate().unwrap();
            let keys = Keyring::parse(pem.as_bytes()).ok().unwrap();
            assert_eq!(keys.signing_key().public_key().alg(), alg);
            assert!(pem.lines().all(|line| line.len() <= 64));
        }
    }

    #[test]
    fn no_two_new_keys_are_the_same() {
        assert_ne!(*KeyType::P256.generate().unwrap(), *KeyType::P256.generate().unwrap());
    }
}
