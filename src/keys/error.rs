use der::asn1::ObjectIdentifier;
use thiserror::Error;

/// Why a text is no usable set of keys. None of these ever holds a byte of it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The text has no PEM framing, and is not base64 either.
    #[error("neither PEM nor base64 of PEM: truncated, or with characters outside standard base64")]
    NotBase64,
    /// A JSON or shell string that was not unescaped.
    #[error(
        "\\n is written out where line breaks belong; put real line breaks there and no quotes around the text, or give \
         base64 of the PEM text"
    )]
    EscapedLines,
    /// A string of YAML, JSON or a shell, quotes included.
    #[error("quotes around the text; leave them out")]
    Quoted,
    /// What a Kubernetes Secret becomes whose `data` was given text that is base64 already.
    #[error("base64 of base64 of PEM; encode it once (in a Kubernetes Secret, such text belongs in stringData)")]
    DoubleBase64,
    /// What some Windows editors and shells write.
    #[error("UTF-16 text; save it as UTF-8")]
    Utf16,
    /// The name of a file in the place of its content.
    #[error("a path where a key belongs; a path is given as signing_key_file")]
    Path,
    /// DER, PKCS#12.
    #[error(
        "a binary file; convert it to PEM, DER with: openssl pkey -inform DER -in FILE -out key.pem, PKCS#12 with: \
         openssl pkcs12 -nocerts -nodes -in FILE -out key.pem"
    )]
    Binary,
    /// A JWK, or what a cloud gives for a service account.
    #[error("JSON; give the private key alone, as PEM text with real line breaks")]
    Json,
    /// There is not one `-----BEGIN …-----` line.
    #[error("no PEM block; allowed are PEM text and standard base64 of it")]
    NoBlock,
    /// More blocks than anybody rotates.
    #[error("{0} PEM blocks; allowed are at most 100")]
    TooManyBlocks(usize),
    /// Blocks, but none of them a key.
    #[error("no key in any PEM block; allowed are P-256 and RSA keys")]
    NoKey,
    /// One block spoils the set.
    #[error("block {number} ({label}): {reason}")]
    Block {
        /// Its place in the text, from 1.
        number: usize,
        /// What its `BEGIN` line says, if it is a plain label.
        label: String,
        /// What is wrong with it.
        reason: BlockError,
    },
}

/// Why a single PEM block is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// The `END` line is missing or says something else, or the body is not base64.
    #[error("broken or truncated PEM: the body must be whole base64, and the END line must match")]
    BrokenPem,
    /// The body is no DER of the structure that the label promises.
    #[error("not a valid {0} structure")]
    Malformed(&'static str),
    /// A label that stands for no key.
    #[error("not a key that is allowed; allowed are EC PRIVATE KEY, PRIVATE KEY, RSA PRIVATE KEY and PUBLIC KEY")]
    UnknownLabel,
    /// OpenSSH's own format.
    #[error("a key in OpenSSH's own format; convert a copy of it with: ssh-keygen -p -m PKCS8 -f COPY")]
    OpenSsh,
    /// A public key in the older form (PKCS#1).
    #[error("an RSA public key in PKCS#1; convert it with: openssl rsa -RSAPublicKey_in -pubout -in FILE")]
    Pkcs1PublicKey,
    /// PKCS#8 encryption, or the older one that a `Proc-Type` line announces.
    #[error("an encrypted key; decrypt it first, for instance with: openssl pkey -in FILE -out key.pem")]
    Encrypted,
    /// An X.509 certificate.
    #[error("a certificate, which is no key; leave it out: the public key is computed from the private key")]
    Certificate,
    /// A key pair on some other curve than P-256.
    #[error("the curve is {}; allowed is P-256", curve_name(.0))]
    OtherCurve(ObjectIdentifier),
    /// SEC1 allows to leave out the curve; then it could be any.
    #[error("it names no curve; allowed is P-256, named in the key")]
    NoCurve,
    /// The curve's numbers in the place of its name (RFC 3279), which RFC 5480 forbids.
    #[error(
        "the curve is given by explicit parameters; name it with: \
         openssl ec -param_enc named_curve -in FILE -out key.pem"
    )]
    ExplicitCurve,
    /// Ed25519, RSA-PSS, DSA and so on.
    #[error("the algorithm is {}; allowed are P-256 and RSA", algorithm_name(.0))]
    OtherAlgorithm(ObjectIdentifier),
    /// The private number is zero or beyond the order of the group.
    #[error("the private key is out of range for P-256")]
    OutOfRange,
    /// The point is not on the curve, or not a point at all.
    #[error("the public key is not a point on P-256")]
    NotOnCurve,
    /// The two halves are from different keys.
    #[error("the private key does not match the public key beside it")]
    Mismatch,
    /// A number that signing takes instead of the private exponent is wrong.
    #[error(
        "dP, dQ or qInv do not fit the other numbers of the RSA key: it is damaged; take a copy, or make a new key"
    )]
    RsaNumbers,
    /// Too weak, or too slow.
    #[error("RSA of {0} bits; allowed are 2048 to 4096")]
    RsaSize(u32),
    /// An even exponent, or 1, or one that no library takes.
    #[error("the RSA public exponent is not an odd number between 3 and 2^32")]
    RsaExponent,
    /// A published key cannot sign.
    #[error("a public key cannot come first: the first key signs")]
    PublicKeyFirst,
}

fn curve_name(oid: &ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.3.132.0.10" => "secp256k1".into(),
        "1.3.132.0.33" => "P-224".into(),
        "1.3.132.0.34" => "P-384".into(),
        "1.3.132.0.35" => "P-521".into(),
        other => other.into(),
    }
}

fn algorithm_name(oid: &ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.3.101.110" => "X25519".into(),
        "1.3.101.111" => "X448".into(),
        "1.3.101.112" => "Ed25519".into(),
        "1.3.101.113" => "Ed448".into(),
        "1.2.840.10040.4.1" => "DSA".into(),
        "1.2.840.113549.1.1.10" => "RSA-PSS".into(),
        "1.2.840.113549.1.3.1" => "Diffie-Hellman".into(),
        other => other.into(),
    }
}
