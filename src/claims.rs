//! Identity, request and configuration in; the claims of an assertion out.
//!
//! What a configuration decides is worked out once, in a [`Plan`]: which claims there are, in the order of their
//! names, and where each comes from. A request then only fills it in.

mod facts;
mod plan;
mod settings;
mod source;
mod value;

pub use facts::{Facts, Payload, RequestLine, Shed, Stamp};
pub use plan::Plan;
pub use settings::{
    Audience, Binding, CAN_BE_REQUIRED, ClaimHeader, ClaimRule, IssuerFormat, OnMissingIdentity, PluginClaims, Settings,
};
pub use source::inputs;
pub use value::{is_safe, json_number};
