//! The schema of the configuration, the code that reads it and the documents that describe it say the same.
//!
//! - `agreement`: `envoy/attestation.schema.json` accepts what the filter accepts, and nothing else
//! - `strict`: validators that are strict about schemas take it
//! - `documents`: every configuration below `envoy/` and in the Markdown files is a valid one
//! - `messages`: the page from symptom to cure knows every message, the index of documents every document
//! - `shipped`: what each of these must have around the filter
//! - `reference`: the tables of `docs/configuration.md` are made from the schema, `UPDATE=1` writes them

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agreement;
mod documents;
mod messages;
mod reference;
mod schema;
mod shipped;
mod strict;
mod table;
