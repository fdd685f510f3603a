//! What Envoy counts for the filter. Envoy puts `wasmcustom.` in front of each name.

macro_rules! metrics {
    ($(#[$doc:meta])* $kind:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $kind {
            /// Their names in the order of declaration, without Envoy's prefix.
            pub const NAMES: &'static [&'static str] = &[$(concat!("attestation.", $name),)*];
        }
    };
}

metrics! {
    /// Numbers that only grow.
    Counter {
        /// Assertions signed by the host.
        SignedByHost = "signed.host",
        /// Assertions signed in Wasm.
        SignedInWasm = "signed.wasm",
        /// Assertions signed by the native module.
        SignedNatively = "signed.native",
        /// Assertions, signed or used again, for a request without an identity.
        Anonymous = "anonymous",
        /// Identities that lacked a required claim, and so were none.
        IncompleteIdentities = "incomplete_identities",
        /// Claims of which something could not be represented and was left out.
        ClaimsLeftOut = "claims_left_out",
        /// Assertions that were used again instead of signed.
        Reused = "reused",
        /// Signatures that the host failed to make, so that Wasm made them.
        SignFallbacks = "sign_fallbacks",
        /// Requests forwarded without an assertion because nobody was signed in.
        Skipped = "skipped",
        /// Requests answered 401.
        RefusedMissingIdentity = "refused.missing_identity",
        /// Requests answered 401 for an incoming assertion that cannot be verified.
        RefusedBadActor = "refused.bad_actor",
        /// Requests answered 400 for their host.
        RefusedBadHost = "refused.bad_host",
        /// Requests answered 400 because they lack what their assertion would be bound to.
        RefusedUnbound = "refused.unbound",
        /// Requests answered 431.
        RefusedTooLong = "refused.too_long",
        /// Requests answered 503.
        RefusedNoKey = "refused.no_key",
        /// Requests answered 500 for their route's metadata.
        RefusedBadRoute = "refused.bad_route",
        /// Requests answered 500 because nothing could sign.
        RefusedNotSigned = "refused.not_signed",
        /// Requests answered 404 because no route would take them.
        RefusedNoRoute = "refused.no_route",
        /// gRPC requests for the filter's own paths, answered 415.
        RefusedGrpc = "refused.grpc",
        /// Headers and trailers of clients that only the filter may send.
        SpoofsStripped = "spoofs_stripped",
        /// Groups that the filter left out.
        GroupsRemoved = "groups_removed",
        /// Answers with the keyset, or that it has not changed.
        JwksServed = "jwks_served",
        /// Key files loaded.
        KeyLoads = "key_loads",
        /// Key files that could not be fetched or used.
        KeyLoadFailures = "key_load_failures",
        /// Shared keys that were not the file's, and were replaced by them.
        SharedKeysReplaced = "shared_keys_replaced",
    }
}

metrics! {
    /// Numbers that stand for a state.
    Gauge {
        /// How many keys are published.
        KeysPublished = "keys_published",
        /// When keys were last loaded, in seconds since the epoch.
        LastKeyLoad = "last_key_load_seconds",
    }
}

metrics! {
    /// Distributions.
    Histogram {
        /// How long a signature took, in microseconds.
        SignDuration = "sign_duration_us",
    }
}

/// The name of the counter of one key's signatures.
#[must_use]
pub fn signed_by_kid(kid: &str) -> String {
    format!("attestation.signed_by_kid.{kid}")
}
