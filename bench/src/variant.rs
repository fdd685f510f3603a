//! What is compared: an Envoy with a filter, and the request that it gets.

use serde::{Deserialize, Serialize};

/// What stands between the identity and the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Filter {
    /// Nothing.
    None,
    /// A filter made with the SDK that does nothing.
    EmptyWasm,
    /// The same, but it has the host sign.
    SignOnly,
    /// The attestation filter.
    Attestation { signer: Signer, reuse: bool },
    /// A service of its own.
    ExtAuthz { transport: Transport, library: Library, sends: Sends },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signer {
    Host,
    Wasm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Library {
    Ring,
    AwsLc,
    Nothing,
}

/// Which of the request's headers the service is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sends {
    /// None: it needs only the host, which it gets in any case.
    NoHeaders,
    /// All, as Envoy does unless told otherwise.
    AllHeaders,
}

/// Where the identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    Metadata,
    Headers,
}

/// One Envoy with its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Variant {
    pub(crate) filter: Filter,
    /// Envoy's worker threads.
    pub(crate) workers: usize,
    /// How many groups the user is in.
    pub(crate) groups: usize,
    /// How many keys are published.
    pub(crate) keys: usize,
    pub(crate) source: Source,
    /// Whether the route has metadata that overrides a setting of the filter.
    pub(crate) route_metadata: bool,
    /// Whether forged headers are removed before routing, as in the shipped configurations.
    pub(crate) early_removal: bool,
}

pub(crate) const HOST: Filter = Filter::Attestation { signer: Signer::Host, reuse: false };
pub(crate) const WASM: Filter = Filter::Attestation { signer: Signer::Wasm, reuse: false };
pub(crate) const REUSE: Filter = Filter::Attestation { signer: Signer::Host, reuse: true };
/// As good as it can be made.
pub(crate) const EXT_AUTHZ: Filter =
    Filter::ExtAuthz { transport: Transport::Unix, library: Library::Ring, sends: Sends::NoHeaders };

impl Variant {
    /// One worker, five groups in metadata, one key, nothing on the route.
    pub(crate) fn of(filter: Filter) -> Self {
        Self {
            filter,
            workers: 1,
            groups: 5,
            keys: 1,
            source: Source::Metadata,
            route_metadata: false,
            early_removal: false,
        }
    }

    /// Whether the upstream is to see an assertion that can be verified.
    pub(crate) fn signs(&self) -> bool {
        !matches!(
            self.filter,
            Filter::None | Filter::EmptyWasm | Filter::SignOnly | Filter::ExtAuthz { library: Library::Nothing, .. }
        )
    }

    /// What it is measured against: the same without a filter. Only what the filter adds is of interest.
    pub(crate) fn baseline(&self) -> Self {
        Self { filter: Filter::None, keys: 1, early_removal: false, ..self.clone() }
    }

    pub(crate) fn filter_name(&self) -> &'static str {
        match self.filter {
            Filter::None => "no filter",
            Filter::EmptyWasm => "a Wasm filter that does nothing",
            Filter::SignOnly => "that one, with the host's signature",
            Filter::Attestation { reuse: true, .. } => "this filter, `reuse`",
            Filter::Attestation { signer: Signer::Host, .. } => "this filter, host signs",
            Filter::Attestation { signer: Signer::Wasm, .. } => "this filter, Wasm signs",
            Filter::ExtAuthz { transport: Transport::Tcp, .. } => "ext_authz, TCP, ring",
            Filter::ExtAuthz { sends: Sends::AllHeaders, .. } => "ext_authz, UDS, ring, all headers sent",
            Filter::ExtAuthz { library: Library::Ring, .. } => "ext_authz, UDS, ring",
            Filter::ExtAuthz { library: Library::AwsLc, .. } => "ext_authz, UDS, aws-lc",
            Filter::ExtAuthz { library: Library::Nothing, .. } => "ext_authz, UDS, signs nothing",
        }
    }

    /// The filter, and all in which the variant differs from [`Variant::of`] it.
    pub(crate) fn name(&self) -> String {
        let usual = Self::of(self.filter);
        let mut name = self.filter_name().to_owned();
        let mut differs = |is: bool, text: String| {
            if is {
                name = format!("{name}, {text}");
            }
        };
        differs(self.workers != usual.workers, format!("{} workers", self.workers));
        differs(self.groups != usual.groups, format!("{} groups", self.groups));
        differs(self.keys != usual.keys, format!("{} keys", self.keys));
        differs(self.source == Source::Headers, "identity from headers".into());
        differs(self.route_metadata, "route metadata".into());
        differs(self.early_removal, "early header removal".into());
        name
    }
}
