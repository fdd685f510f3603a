//! JSON values as they come from outside.

pub mod protobuf;
