//! What a verifier looks at, each with its outcome in words.

use super::super::html::Html;
use super::super::received::{Arrival, Received};
use super::{CROSS, TICK};
use crate::assertion::{Fault, Token};
use crate::clock;

const DASH: &str = r#"<svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" aria-hidden="true"><path d="M4 8h8"/></svg>"#;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// Nothing is wrong with what nothing vouches for: whoever forges a token has it look right.
    ProvesNothing,
    NotChecked,
}

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) words: &'static str,
    pub(super) outcome: Outcome,
}

impl Check {
    pub(super) fn item(self) -> Html {
        let (class, icon, outcome) = match self.outcome {
            Outcome::Passed => ("ok", TICK, "passed"),
            Outcome::Failed => ("no", CROSS, "failed"),
            Outcome::ProvesNothing => ("open", DASH, "proves nothing"),
            Outcome::NotChecked => ("open", DASH, "not checked"),
        };
        Html::template(
            r#"<li class="{{class}}">{{icon}}<span>{{words}}</span><b>{{outcome}}</b></li>"#,
            &[
                ("class", Html::markup(class)),
                ("icon", Html::markup(icon)),
                ("words", Html::markup(self.words)),
                ("outcome", Html::markup(outcome)),
            ],
        )
    }
}

/// In the order of a verifier. Without a good signature nothing passes.
pub(super) fn checks(received: &Received) -> Vec<Check> {
    let faults = &received.verdict.faults;
    let signed = received.verdict.is_signed();
    let has = |codes: &[&str]| faults.iter().any(|fault| codes.contains(&fault.code()));
    let key_failed = faults.iter().any(|fault| !fault.is_of_claims() && !matches!(fault, Fault::Signature));
    let outcome = |is_looked_at: bool, failed: bool| match (is_looked_at, failed) {
        (false, _) => Outcome::NotChecked,
        (true, true) => Outcome::Failed,
        (true, false) if signed => Outcome::Passed,
        (true, false) => Outcome::ProvesNothing,
    };
    let time = has(&["expired", "not_yet_valid", "missing_claim", "bad_claim"]);
    [
        ("one assertion in the request", outcome(true, received.arrival != Arrival::Once)),
        ("its key is in the keyset", outcome(true, key_failed)),
        ("the key signed this header and these claims", outcome(!key_failed, !signed)),
        ("valid now", outcome(true, time)),
        ("for this audience", outcome(received.expects.audience, has(&["wrong_audience"]))),
        ("from this issuer", outcome(received.expects.issuer, has(&["wrong_issuer"]))),
    ]
    .map(|(words, outcome)| Check { words, outcome })
    .into()
}

/// How much of its life the assertion has behind it, by its own word.
pub(super) fn lifetime(token: &Token, received: &Received) -> Html {
    let now = received.at;
    let seconds = |claim: &str| token.claims.get(claim).and_then(serde_json::Value::as_f64);
    let (Some(iat), Some(exp)) = (seconds("iat"), seconds("exp")) else { return Html::default() };
    if exp <= iat {
        return Html::default();
    }
    let percent = ((now - iat) / (exp - iat) * 100.0).clamp(0.0, 100.0);
    let end = if now < exp { "expires" } else { "expired" };
    let class = match (received.is_verified(), now < exp) {
        (true, true) => "track",
        (_, false) => "track over",
        (false, true) => "track unproven",
    };
    Html::template(
        r#"<div class="life"><div class="{{class}}"><i style="width:{{percent}}%"></i></div>
<div class="ends soft small"><span>issued {{issued}}</span><span>{{end}} {{expires}}</span></div></div>"#,
        &[
            ("class", Html::markup(class)),
            ("percent", Html::text(&format!("{:.1}", percent.max(1.5)))),
            ("issued", Html::text(&clock::relative(iat, now))),
            ("end", Html::markup(end)),
            ("expires", Html::text(&clock::relative(exp, now))),
        ],
    )
}
