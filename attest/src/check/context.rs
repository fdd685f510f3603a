//! What a rule is given.

use super::model::Model;
use super::ours::Ours;

/// A configuration, our filter in it, and what the user has said about Envoy.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) model: &'a Model<'a>,
    pub(crate) ours: &'a Ours<'a>,
    /// Major and minor version.
    pub(crate) version: Option<(u32, u32)>,
}
