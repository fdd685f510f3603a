//! What went wrong with the Kubernetes API, in words. What the server says of a request is not repeated: it may quote it.

use std::error::Error;
use std::io;

use anyhow::anyhow;
use kube::config::KubeconfigError;

use super::name::SecretName;
use crate::input;
use crate::rotate::store::Busy;

/// What was asked of the API, as RBAC names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Update,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Update => "update",
        }
    }
}

/// A request that failed.
pub(super) fn told(error: &kube::Error, verb: Verb, name: &SecretName) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => refused(status.code, verb, name),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            anyhow!("the answer to {} Secret {name} is none of a Kubernetes API server; check its URL", verb.word())
        }
        other => anyhow!("cannot {} Secret {name}: {}", verb.word(), unreachable(other)),
    }
}

fn refused(code: u16, verb: Verb, name: &SecretName) -> anyhow::Error {
    let (word, SecretName { namespace, name: short }) = (verb.word(), name);
    match code {
        401 => anyhow!(
            "the Kubernetes API server does not accept these credentials (401), also after they were read again: the \
             token has expired, or is for another cluster; renew it in the kubeconfig, or restart the pod"
        ),
        403 => anyhow!(
            "the Kubernetes API server does not let this account {word} Secret {name} (403); add to its Role in namespace \
             {namespace}: {{apiGroups: [\"\"], resources: [secrets], resourceNames: [{short}], verbs: [get, update]}}"
        ),
        404 => anyhow!(
            "there is no Secret {name} (404); make it with: attest keygen -o signing-key.pem && kubectl -n {namespace} \
             create secret generic {short} --from-file=signing-key.pem"
        ),
        409 => Busy(format!("Secret {name} was changed by something else meanwhile; run this again, it looks first"))
            .into(),
        413 => anyhow!("Secret {name} would be too big (413); take out of it what is no key"),
        422 => anyhow!(
            "the Kubernetes API server refuses the new Secret {name} (422); is it immutable, or does an admission policy \
             forbid it? Look at the server's audit log"
        ),
        _ => anyhow!(
            "the Kubernetes API server answers {word} of Secret {name} with {code}; run this again, it looks first"
        ),
    }
}

/// A client that cannot be made.
pub(super) fn unusable(error: &kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Auth(_) => anyhow!(
            "the kubeconfig's credentials cannot be used: its token file or its exec plugin fails; try: kubectl auth whoami"
        ),
        kube::Error::ProxyProtocolDisabled { .. } | kube::Error::ProxyProtocolUnsupported { .. } => {
            anyhow!("an HTTP proxy is named for the API server, and attest uses none; remove it")
        }
        _ => {
            anyhow!("the kubeconfig's certificates cannot be used; check certificate-authority and client-certificate")
        }
    }
}

/// A kubeconfig that cannot be read.
pub(super) fn kubeconfig(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(_, path) if std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty()) => {
            format!(
                "no Kubernetes credentials: this runs in no pod, KUBECONFIG is not set, and {} cannot be read",
                path.display()
            )
        }
        KubeconfigError::ReadConfig(error, path) => {
            format!("cannot read {}, which KUBECONFIG names: {}", path.display(), input::reason(error))
        }
        KubeconfigError::FindPath => "no Kubernetes credentials: set KUBECONFIG, or run this in a pod".to_owned(),
        KubeconfigError::CurrentContextNotSet => "the kubeconfig has no current-context; set one".to_owned(),
        KubeconfigError::LoadContext(_) | KubeconfigError::LoadClusterOfContext(_) => {
            "the kubeconfig has no such context or cluster as its current-context names; try: kubectl config view"
                .to_owned()
        }
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            "the kubeconfig's cluster has no usable server URL; write one like https://10.0.0.1:6443".to_owned()
        }
        KubeconfigError::LoadCertificateAuthority(_)
        | KubeconfigError::LoadClientCertificate(_)
        | KubeconfigError::LoadClientKey(_)
        | KubeconfigError::ParseCertificates(_) => {
            "the kubeconfig's certificate-authority, client-certificate or client-key cannot be read".to_owned()
        }
        _ => "the kubeconfig cannot be read; try: kubectl config view".to_owned(),
    }
}

fn unreachable(error: &kube::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut reason = None;
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return tls(error).to_owned();
        }
        let io = error.downcast_ref::<io::Error>();
        reason = io.map(input::reason).or(reason);
        // The cause of an `io::Error` is that of what it wraps, not what it wraps.
        cause = match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    let reason = reason.filter(|reason| !reason.contains("lookup")).unwrap_or_else(|| "it does not answer".to_owned());
    format!("the Kubernetes API server cannot be reached: {reason}; run this again, it looks first")
}

fn tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            "the certificate of the Kubernetes API server is not signed by the certificate-authority of the kubeconfig, or \
             is for another name"
        }
        _ => "the Kubernetes API server does not speak TLS as this does; check its URL",
    }
}
