//! `attest rotate`: a new signing key in three steps, none of which leaves an assertion that nobody can verify.

mod ask;
mod auto;
mod done;
mod fleet;
mod hold;
mod interrupt;
mod outlook;
mod piece;
mod place;
mod progress;
mod promote;
mod record;
mod retire;
mod ring;
mod rotation;
mod stage;
mod standing;
mod store;
mod target;

use crate::Outcome;
use hold::Hold;

/// Replace the signing key of a key file, in three safe steps or by itself
///
///   stage    adds a new key after the one that signs: it is published, and does not sign yet
///   promote  puts the new key first: it signs, and the old one is still published
///   retire   removes the old key
///   auto     takes whichever step is due, or none
///
/// Between the steps, clients need time to fetch the keyset again, and old assertions to expire.
/// With --jwks-url (once for each proxy) a step first looks at what every proxy really publishes,
/// and refuses until it is safe; with --wait it waits until then. Without it, promote and retire
/// need --now, and only the order of the steps is checked.
///
/// The file is replaced atomically and keeps its owner, mode and access control list. What attest saw, and when, is kept beside
/// it in FILE.rotation.json, which holds key IDs, URLs and times, never a key, and is removed by
/// the last step. With --secret the keyring is in a Kubernetes Secret, and the record in an annotation of it.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  attest rotate stage signing-key.pem
  attest rotate promote signing-key.pem --wait \\
      --jwks-url http://proxy-a:8080/.well-known/pomerium/jwks.json \\
      --jwks-url http://proxy-b:8080/.well-known/pomerium/jwks.json
  attest rotate retire signing-key.pem --wait --token-lifetime 300s --jwks-url ...
  attest rotate auto signing-key.pem --every 30d --jwks-url ...
  attest rotate auto --secret envoy/attestation-signing-key --every 30d --jwks-url ...

Exit codes:
  0  the step is done
  1  refused or failed; the key file is as it was
  2  the command line is wrong"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand)]
enum Step {
    Stage(stage::Args),
    Promote(promote::Args),
    Retire(retire::Args),
    Auto(auto::Args),
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let result = match &args.step {
        Step::Auto(args) => return auto::run(args, json).map(|()| Outcome::Done),
        Step::Stage(args) => stage::run(args, json),
        Step::Promote(args) => promote::run(args, json),
        Step::Retire(args) => retire::run(args, json),
    };
    match result {
        Ok(done) => {
            done.print(json)?;
            Ok(Outcome::Done)
        }
        Err(error) => match error.downcast::<Hold>() {
            Ok(hold) => {
                hold.print(json)?;
                Ok(Outcome::Refused)
            }
            Err(error) => Err(error),
        },
    }
}
