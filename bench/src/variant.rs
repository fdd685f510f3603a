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
    /// The attestation filter as a Wasm module.
    Attestation { signer: Signer, reuse: bool },
    /// The same as a native module.
    Native { reuse: bool },
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
    /// Filter state, into which Envoy has copied the metadata.
    FilterState,
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

pub(crate) const NATIVE: Filter = Filter::Native { reuse: false };
pub(crate) const NATIVE_REUSE: Filter = Filter::Native { reuse: true };
pub(crate) const HOST: Filter = Filter::Attestation { signer: Signer::Host, reuse: false };
pub(crate) const WASM: Filter = Filter::Attestation { signer: Signer::Wasm, reuse: false };
pub(crate) const REUSE: Filter = Filter::Attestation { signer: Signer::Host, reuse: true };
/// As good as it can be made.
pub(crate) const EXT_AUTHZ: Filter =
    Filter::ExtAuthz { transport: Transport::Unix, library: Library::Ring, sends: Sends::NoHeaders };

impl Variant {
    /// One worker, five groups where jwt_authn puts them, one key, nothing on the route. The native module cannot see
    /// into metadata, so there Envoy copies it into filter state.
    pub(crate) fn of(filter: Filter) -> Self {
        Self {
            filter,
            workers: 1,
            groups: 5,
            keys: 1,
            source: if matches!(filter, Filter::Native { .. }) { Source::FilterState } else { Source::Metadata },
            route_metadata: false,
            early_removal: false,
        }
    }

    /// No filter, but Envoy copies the metadata into filter state.
    pub(crate) fn filter_state() -> Self {
        Self { source: Source::FilterState, ..Self::of(Filter::None) }
    }

    /// Whether the upstream is to see an assertion that can be verified.
    pub(crate) fn signs(&self) -> bool {
        !matches!(
            self.filter,
            Filter::None | Filter::EmptyWasm | Filter::SignOnly | Filter::ExtAuthz { library: Library::Nothing, .. }
        )
    }

    /// What it is measured against: the same without a filter. Only what the filter adds is of interest. Where there is
    /// none, filter state is measured against plain metadata: what the copy costs.
    pub(crate) fn baseline(&self) -> Self {
        let source = match (self.filter, self.source) {
            (Filter::None, Source::FilterState) => Source::Metadata,
            (_, source) => source,
        };
        Self { filter: Filter::None, keys: 1, early_removal: false, source, ..self.clone() }
    }

    pub(crate) fn filter_name(&self) -> &'static str {
        match self.filter {
            Filter::None => "no filter",
            Filter::EmptyWasm => "a Wasm filter that does nothing",
            Filter::SignOnly => "that one, with the host's signature",
            Filter::Native { reuse: false } => "native module",
            Filter::Native { reuse: true } => "native module, `reuse`",
            Filter::Attestation { reuse: true, .. } => "Wasm module, `reuse`",
            Filter::Attestation { signer: Signer::Host, .. } => "Wasm module, host signs",
            Filter::Attestation { signer: Signer::Wasm, .. } => "Wasm module, Wasm signs",
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
        let source = match self.source {
            Source::Metadata => "identity from metadata",
            Source::FilterState => "`set_filter_state`",
            Source::Headers => "identity from headers",
        };
        differs(self.source != usual.source, source.into());
        differs(self.route_metadata, "route metadata".into());
        differs(self.early_removal, "early header removal".into());
        name
    }
}
