//! What the core needs of HTTP: hosts, header names and fields, and the paths that the filter answers itself.

pub mod authority;
pub mod endpoint;
pub mod fields;
pub mod header_name;
