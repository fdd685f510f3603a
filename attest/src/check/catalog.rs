//! Every finding there is: its name, how bad it is, and what it leads to. `docs/check.md` is made of this table.

use super::finding::Severity;

/// What is said of a kind of finding, whatever configuration it is in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    /// What is looked for.
    pub(crate) finds: &'static str,
    /// What Envoy then does.
    pub(crate) consequence: &'static str,
}

macro_rules! catalog {
    ($($id:ident, $name:literal, $severity:ident, $finds:literal, $consequence:literal;)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(clippy::enum_variant_names, reason = "they are the names that users see")]
        pub(crate) enum Id { $(#[doc = $finds] $id,)* }

        impl Id {
            /// All of them, in the order of the document.
            pub(crate) const ALL: &[Self] = &[$(Self::$id,)*];

            pub(crate) fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$id => &Entry {
                        name: $name,
                        severity: Severity::$severity,
                        finds: $finds,
                        consequence: $consequence,
                    },)*
                }
            }
        }
    };
}

catalog! {
    FilterMissing, "filter-missing", Warning,
        "the attestation filter is in no chain of HTTP filters",
        "No request gets an assertion, and the keyset is not answered.";
    FilterDisabled, "filter-disabled", Warning,
        "the filter is `disabled` in the chain",
        "It runs only on routes that enable it; all others get no assertion, and forged ones pass.";
    FilterDisabledOnRoute, "filter-disabled-on-route", Warning,
        "the filter is `disabled` on a route, in a virtual host or in a route configuration",
        "Requests there get no assertion, and nothing that a client forges is removed.";
    FilterAfterRouter, "filter-after-router", Error,
        "the filter comes after the router, or there is no router",
        "The filter never sees a request; Envoy refuses the chain.";
    AuthenticationAfterFilter, "authentication-after-filter", Error,
        "a filter that authenticates comes after the filter",
        "The filter signs before anybody knows who is calling: everybody is anonymous, or whoever a client says.";
    NoPayloadInMetadata, "no-payload-in-metadata", Error,
        "a provider of jwt_authn has no `payload_in_metadata`",
        "jwt_authn verifies tokens and tells nobody what is in them: their users are anonymous.";
    MetadataNotWritten, "metadata-not-written", Error,
        "no filter before ours writes a namespace that `identity_sources` names",
        "The source never yields an identity.";
    PathNotWritten, "path-not-written", Error,
        "nothing is written under the `path` of a source",
        "The source never yields an identity.";
    MetadataAmbiguous, "metadata-ambiguous", Warning,
        "jwt_authn writes several objects, and the source has no `path`",
        "Several objects are ambiguous and no identity: users are anonymous.";
    FilterStateNotWritten, "filter-state-not-written", Error,
        "no filter before ours writes the filter state that a source names",
        "The source never yields an identity.";
    IdentityFormat, "identity-format", Error,
        "the `format_string` of a source's filter state makes no JSON object with a `sub`",
        "The source never yields an identity, or none where the value is long: users are anonymous.";
    HeaderNotWritten, "header-not-written", Error,
        "no filter before ours writes a header that a source names, or that its filter state is made of",
        "Nobody but the client sets the header: it names whom it likes, or nobody is named.";
    HeaderNotRemoved, "header-not-removed", Warning,
        "a header of `identity_sources`, or of their filter state, is not removed from requests early",
        "Where the filter that sets it does not, the client's own header names the user or adds groups.";
    CertificateNotAsked, "certificate-not-asked", Error,
        "a `client_certificate` source, and a listener that asks for no certificate",
        "The source never yields an identity.";
    CertificateNotVerified, "certificate-not-verified", Error,
        "`trust_chain_verification: ACCEPT_UNTRUSTED` with a `client_certificate` source",
        "A client makes a certificate with any name in it, and is signed for as that name.";
    FailureModeAllow, "failure-mode-allow", Error,
        "`failure_mode_allow` of a filter that an identity comes from",
        "While the service is down, requests pass with whatever identity headers the client sent.";
    KeysetBehindLogin, "keyset-behind-login", Warning,
        "a login before the filter also asks those who fetch the keyset",
        "Apps cannot fetch the keyset and verify nothing.";
    ExemptByPrefix, "exempt-by-prefix", Warning,
        "the keyset is exempt from a login by a prefix or an open expression",
        "Other paths that begin like it pass without a login and reach an upstream.";
    RouteNotResolved, "route-not-resolved", Warning,
        "a filter before the Wasm filter can have the route chosen anew, and none right before it resolves the route",
        "The filter signs with the settings of the route that was chosen first, for the upstream of another.";
    NoEarlyRemoval, "no-early-removal", Warning,
        "the connection manager removes no forged headers before routing",
        "A route can match on a forged header, and gets settings and an upstream of the client's choice.";
    EarlyRemovalMisses, "early-removal-misses", Warning,
        "`early_header_mutation_extensions` miss a header that the filter strips, or a spelling of it",
        "That spelling still takes part in the choice of a route.";
    OwnHeaderMatched, "own-header-matched", Error,
        "a route is chosen by a header that the filter strips or sets, or by an alias of one",
        "With Wasm, the upstream of one route gets the assertion of another; natively, a client chooses, or nobody.";
    PathsNotSettled, "paths-not-settled", Warning,
        "`normalize_path`, `merge_slashes` or `path_with_escaped_slashes_action: REJECT_REQUEST` is missing",
        "Rules and routes read another path than the app: a login or a route's settings can be gone around.";
    ConfigurationRefused, "configuration-refused", Error,
        "the filter refuses its configuration",
        "Envoy does not start, or keeps the configuration that it had.";
    RouteSettingsRefused, "route-settings-refused", Error,
        "the filter refuses its settings of a route",
        "With Wasm each request of that route is answered 500; natively Envoy refuses the route.";
    SettingsNotRead, "settings-not-read", Error,
        "settings of ours where this host does not read them",
        "They are ignored, and no log line says so.";
    ConstantUser, "constant-user", Warning,
        "`sub` or `user` of `claims` is a `value`",
        "Everybody is signed for as that user, and so is nobody at all.";
    RequiredConstant, "required-constant", Error,
        "a claim of `required_claims` is a `value`",
        "A constant names nobody: no request has an identity.";
    HeaderReadBack, "header-read-back", Warning,
        "a header of `identity_sources` has another claim in `jwt_claims_headers`, and a route follows redirects itself",
        "After an internal redirect the filter reads what it has written: somebody else's name, or other groups.";
    YamlTrap, "yaml-trap", Warning,
        "a scalar without quotes that Envoy's YAML reads as something else",
        "Another value is signed or used than the one that is written.";
    DuplicateKey, "duplicate-key", Warning,
        "the same name twice in one object",
        "Envoy takes the last one and says nothing.";
    WildcardAudience, "wildcard-audience", Warning,
        "`domains: [\"*\"]` without `audience`",
        "A client chooses the audience by its Host, and gets assertions for other services.";
    PortFallsThrough, "port-falls-through", Warning,
        "a domain without its `:*` form, beside a virtual host for `*`",
        "`Host: name:1` reaches the other virtual host, with its settings and its audience.";
    KeyClusterMissing, "key-cluster-missing", Error,
        "there is no cluster of the name in `signing_key_cluster`",
        "The key is never loaded: every request is answered 503.";
    KeyListenerMissing, "key-listener-missing", Error,
        "the cluster of the key leads to no internal listener",
        "The key is never loaded: every request is answered 503.";
    InternalListenersOff, "internal-listeners-off", Error,
        "there is no `envoy.bootstrap.internal_listener` extension",
        "Envoy refuses to start, or the key is never loaded.";
    KeyPathDiffers, "key-path-differs", Error,
        "the listener of the key answers another path than `signing_key_file`",
        "The key is never loaded: every request is answered 503.";
    KeyDomains, "key-domains", Warning,
        "the `domains` of the key's listener are not exactly `signing-key`",
        "With `*`, whoever gets a request to the cluster reads the key; without `signing-key`, the filter gets 404.";
    KeyNotWatched, "key-not-watched", Warning,
        "the key's answer has no `watched_directory`, or another directory than the file's",
        "A new key is not noticed until Envoy restarts.";
    KeyBodyLimit, "key-body-limit", Error,
        "the key file is longer than the listener answers",
        "Envoy refuses to start, or keeps the old content.";
    KeyFileRefused, "key-file-refused", Error,
        "the key file cannot be read or used",
        "There is no key to sign with.";
    KeyFileOpen, "key-file-open", Warning,
        "others than the owner of the key file can read it",
        "Any account of this machine can sign assertions.";
    KeyFileNotChecked, "key-file-not-checked", Note,
        "the key file is not on this machine",
        "Its content and its mode are not checked.";
    InlineKey, "inline-key", Warning,
        "a private key is written into the configuration",
        "`/config_dump` and Envoy's debug log show it.";
    NoKey, "no-key", Warning,
        "no signing key is configured",
        "An ephemeral key signs that is never published: no app can verify an assertion.";
    DemoKey, "demo-key", Note,
        "the key is the one that is published with the source code",
        "Anybody can sign assertions with it. It is for trying things out.";
    DemoIssuer, "demo-issuer", Note,
        "jwt_authn trusts the issuer of the demonstration",
        "Its token is published and good for many years: everybody can be its user. It is for trying things out.";
    KeyByClusterHeader, "key-by-cluster-header", Error,
        "a route with `cluster_header` can lead to the key's listener",
        "A client names the cluster and the host of the key, and reads the private key.";
    FailOpen, "fail-open", Error,
        "`failure_policy: FAIL_OPEN`",
        "After a fault of the module requests go on unsigned, with forged headers.";
    NoFailReload, "no-fail-reload", Warning,
        "no `failure_policy: FAIL_RELOAD`",
        "After a fault of the module that worker answers 503 until Envoy restarts.";
    NoVmId, "no-vm-id", Warning,
        "no `vm_id`",
        "A configuration without `vm_id` shares its keys with every other module that has none.";
    VmIdShared, "vm-id-shared", Warning,
        "another module has the same `vm_id`",
        "That module can write the key that is signed with, until the file is read again.";
    NoPluginName, "no-plugin-name", Warning,
        "no `config.name`",
        "The log and the statistics cannot be told from other modules', and alerts do not fire.";
    RuntimeUnavailable, "runtime-unavailable", Warning,
        "another Wasm runtime than V8",
        "Envoy's official builds have only V8: they refuse to start.";
    EnvoyTooOld, "envoy-too-old", Error,
        "something that the Envoy of `--envoy-version` cannot do",
        "Envoy refuses the configuration, or the filter does.";
    AccessLogName, "access-log-name", Warning,
        "an access log asks for `attestation.jti` or `attestation.kid` without `wasm.` before it",
        "The access log has `-` in its place.";
    NotRead, "not-read", Note,
        "a part of the configuration that another file or a control plane has",
        "What is in it is not checked. Check the `/config_dump` of a running Envoy.";
}

impl Id {
    /// The kind with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.entry().name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_their_own_and_in_kebab_case() {
        for id in Id::ALL {
            let Entry { name, finds, consequence, .. } = id.entry();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert_eq!(Id::named(name), Some(*id));
            assert!(consequence.ends_with('.') && !finds.ends_with('.'), "{name}");
        }
    }
}
