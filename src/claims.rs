//! Identity, request and configuration in; the claims of an assertion out.
//!
//! What a configuration decides is worked out once, in a [`Plan`]: which claims there are, in the order of their
//! names, and where each comes from. A request then only fills it in.

mod plan;
mod source;
mod value;

pub use plan::{Facts, Payload, Plan, RequestLine, Shed};
pub use value::json_number;
