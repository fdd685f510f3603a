//! Reads and writes one Secret through the Kubernetes API.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tokio::runtime::Runtime;

use super::name::SecretName;
use super::trouble::{self, Verb};

/// For a request with its repetitions.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Who made a change, in the Secret's managedFields.
const FIELD_MANAGER: &str = "attest-rotate";

/// One Secret, behind an API server.
pub(super) struct Api {
    name: SecretName,
    runtime: Runtime,
    /// Kept from one request to the next; made anew when the server refuses its credentials.
    client: RefCell<Option<Client>>,
}

impl Api {
    pub(super) fn new(name: SecretName) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { name, runtime: runtime.context("cannot make a connection")?, client: RefCell::default() })
    }

    /// # Errors
    /// Why it cannot be read, and which rule or Secret is missing.
    pub(super) fn get(&self) -> anyhow::Result<Secret> {
        let name = self.name.name.as_str();
        self.call(Verb::Get, |api| async move { api.get(name).await })
    }

    /// Replaces the Secret, if it is still of the version that is in `secret`.
    ///
    /// # Errors
    /// [`Busy`](super::super::Busy) if it is not; else why it cannot be written.
    pub(super) fn put(&self, secret: &Secret) -> anyhow::Result<Secret> {
        let name = self.name.name.as_str();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
        let parameters = &parameters;
        self.call(Verb::Update, |api| async move { api.replace(name, parameters, secret).await })
    }

    /// A token that has expired was perhaps renewed in its file: it is read again, once.
    fn call<F: Future<Output = kube::Result<Secret>>>(
        &self,
        verb: Verb,
        request: impl Fn(kube::Api<Secret>) -> F,
    ) -> anyhow::Result<Secret> {
        let result = match self.try_call(&request)? {
            Err(kube::Error::Api(status)) if status.code == 401 => {
                self.client.take();
                self.try_call(&request)?
            }
            result => result,
        };
        result.map_err(|error| {
            // Whatever it was, the next request begins anew.
            self.client.take();
            trouble::told(&error, verb, &self.name)
        })
    }

    fn try_call<F: Future<Output = kube::Result<Secret>>>(
        &self,
        request: impl Fn(kube::Api<Secret>) -> F,
    ) -> anyhow::Result<kube::Result<Secret>> {
        let answer = self.runtime.block_on(async {
            tokio::time::timeout(TIMEOUT, async {
                let client = self.client().await?;
                anyhow::Ok(request(kube::Api::namespaced(client, &self.name.namespace)).await)
            })
            .await
        });
        answer.unwrap_or_else(|_| {
            self.client.take();
            Err(anyhow!("the Kubernetes API server did not answer within {} s; run this again", TIMEOUT.as_secs()))
        })
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let known = self.client.borrow().clone();
        match known {
            Some(client) => Ok(client),
            None => {
                let client = connect().await?;
                self.client.replace(Some(client.clone()));
                Ok(client)
            }
        }
    }
}

async fn connect() -> anyhow::Result<Client> {
    let mut config = credentials().await?;
    ensure!(
        !config.accept_invalid_certs,
        "the kubeconfig says insecure-skip-tls-verify, and a key goes to no server that nobody has checked; name its \
         authority as certificate-authority instead"
    );
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    ensure!(
        config.cluster_url.scheme_str() == Some("https") || is_local,
        "the API server's URL begins with http://, and a key goes over no open network; name its https URL in the \
         kubeconfig"
    );
    ensure!(
        config.proxy_url.is_none(),
        "an HTTP proxy is named for the API server (proxy-url of the kubeconfig, or HTTPS_PROXY), and attest uses none; \
         remove it, or name the server in NO_PROXY"
    );
    config.read_timeout = Some(TIMEOUT);
    Client::try_from(config).map_err(|error| trouble::unusable(&error))
}

/// Those of `KUBECONFIG`, of the pod that this runs in, or of `~/.kube/config`.
async fn credentials() -> anyhow::Result<Config> {
    let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !named("KUBECONFIG") && named("KUBERNETES_SERVICE_HOST") {
        let mut config = Config::incluster_env().map_err(|_| {
            anyhow!(
                "this pod has no ServiceAccount token; leave out `automountServiceAccountToken: false` and name a \
                 serviceAccountName"
            )
        })?;
        config.proxy_url = None;
        return Ok(config);
    }
    match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => Ok(config),
        Err(error) => bail!(trouble::kubeconfig(&error)),
    }
}
