//! `envoy.service.auth.v3.Authorization`, as `tonic` would have generated it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost_types::{Struct, value::Kind};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::check::{CheckRequest, CheckResponse, Metadata};
use crate::token::Tokens;

const HEADER: &str = "x-pomerium-jwt-assertion";
const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

#[derive(Clone)]
pub(crate) struct Authorization(Arc<Tokens>);

impl Authorization {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self(Arc::new(tokens))
    }

    fn check(&self, request: &CheckRequest) -> Result<CheckResponse, Status> {
        let attributes = request.attributes.as_ref().ok_or_else(|| Status::invalid_argument("no attributes"))?;
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
        let host = http.map_or("", |http| http.host.as_str());
        let identity = attributes.metadata.as_ref().and_then(identity).unwrap_or(const { &NOBODY });
        let token = self.0.token(identity, host).ok_or_else(|| Status::internal("cannot sign"))?;
        Ok(CheckResponse::with_header(HEADER, token))
    }
}

const NOBODY: Struct = Struct { fields: std::collections::BTreeMap::new() };

/// What jwt_authn has left: the object under the namespace's lowest name.
fn identity(metadata: &Metadata) -> Option<&Struct> {
    let namespace = metadata.namespaces.get(NAMESPACE)?;
    namespace.fields.values().find_map(|value| match value.kind.as_ref()? {
        Kind::StructValue(object) => Some(object),
        _ => None,
    })
}

impl NamedService for Authorization {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl Service<http::Request<Body>> for Authorization {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// `Check` is the only method there is.
    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(Check(service), request).await) })
    }
}

struct Check(Authorization);

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future = std::future::Ready<Result<Response<CheckResponse>, Status>>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        std::future::ready(self.0.check(request.get_ref()).map(Response::new))
    }
}
