//! One claim of an assertion.

use std::ops::Range;

use super::super::facts::{Facts, Shed};
use super::super::source::{Noticed, Source};
use super::super::value::{Resolved, Unrepresentable, write_text};

/// A claim, as a member of the payload.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) claim: String,
    /// The claim's name as JSON, with its colon.
    pub(super) name: Vec<u8>,
    pub(super) source: Source,
    pub(super) role: Role,
    pub(super) twin: Twin,
}

/// What a claim is when claims are shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Always there.
    Fixed,
    /// Left out, or empty for groups, where this place is shed.
    Sheddable(usize),
    /// Tells that this place is shed.
    Marker(usize),
}

/// What has become of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// Left out, as it is not there.
    Not,
    /// Left out, as it cannot be represented.
    Failed,
    /// Its value stands here.
    At(Range<usize>),
}

/// The place of the first that is made of just the same, which is made only once: what a request costs must not grow with
/// how often one long list is asked for.
pub(super) type Twin = Option<usize>;

impl Member {
    pub(super) fn new(claim: String, source: Source, role: Role) -> Self {
        let mut name = Vec::new();
        write_text(&claim, &mut name);
        name.push(b':');
        Self { claim, name, source, role, twin: None }
    }

    /// Appends the member, after those that have been written; what it leaves of one that is left out is of no use.
    pub(super) fn write(
        &self,
        written: &[Written],
        facts: &Facts<'_>,
        shed: Shed,
        json: &mut Vec<u8>,
        noticed: &mut Noticed,
    ) -> Written {
        let is_shed = match self.role {
            Role::Fixed => false,
            Role::Sheddable(place) => shed.has(place),
            Role::Marker(place) if shed.has(place) => false,
            Role::Marker(_) => return Written::Not,
        };
        let twin = self.twin.filter(|_| !is_shed).and_then(|twin| written.get(twin));
        json.extend_from_slice(&self.name);
        let start = json.len();
        let value = match (&self.source, twin) {
            (_, Some(Written::Failed)) => Some(Err(Unrepresentable)),
            (_, Some(Written::At(range))) => {
                json.extend_from_within(range.clone());
                Some(Ok(()))
            }
            (Source::Groups { .. }, _) if is_shed => Some(Resolved::Texts(Vec::new()).write_json(json)),
            _ if is_shed => None,
            (source, _) => source.resolve(facts, noticed).map(|value| value.write_json(json)),
        };
        match value {
            None => Written::Not,
            Some(Ok(())) => Written::At(start..json.len()),
            Some(Err(Unrepresentable)) => {
                noticed.left_out = true;
                Written::Failed
            }
        }
    }
}

/// The twin of each of these, if there is one before it.
pub(super) fn twins<'s>(sources: impl Iterator<Item = &'s Source>) -> Vec<Twin> {
    let mut before: Vec<&Source> = Vec::new();
    sources
        .map(|source| {
            let twin = before.iter().position(|other| *other == source);
            before.push(source);
            twin
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::claims::{ClaimHeader, ClaimRule, Facts, Plan, PluginClaims, RequestLine, Settings, Shed, Stamp};
    use crate::http::header_name::HeaderName;
    use crate::identity::{ClaimPath, Identity};
    use crate::value::Object;
    use crate::value::protobuf::{Struct, build};

    /// The claims and the headers that are made of the member `x`: two claims of a kind, one that is shed, two headers.
    fn made(x: &Json, as_text: bool, shed: Shed) -> (Json, Vec<String>, Vec<String>) {
        let from_x = || ClaimRule::First(vec![ClaimPath::Name("x".into())]);
        let claims = ["a", "b", "c"].map(|name| (name.to_owned(), from_x())).to_vec();
        let header = |claim: &str| ClaimHeader { header: HeaderName::for_claim(claim).unwrap(), claim: claim.into() };
        let headers = vec![header("a"), header("c")];
        let plugin = PluginClaims { as_text, headers, shed: vec!["a".into()], ..PluginClaims::default() };
        let plan = Plan::new(&Settings { claims, ..Settings::default() }, &plugin);
        let bytes = build::object(&json!({"sub": "ann", "x": x}));
        let identity = Identity::Members(Object::Struct(Struct::new(&bytes)).members().collect());
        let stamp = Stamp::default();
        let request = RequestLine::default();
        let identity = Some(&identity);
        let facts = Facts { identity, authority: None, stamp: &stamp, source: None, request, actor: None };
        let payload = plan.payload(&facts, shed);
        let texts = plan.headers(&facts).into_iter().map(|(_, text)| text).collect();
        let left_out = payload.left_out.iter().map(|claim| (*claim).to_owned()).collect();
        (serde_json::from_slice(&payload.json).unwrap(), texts, left_out)
    }

    #[test]
    fn claims_of_the_same_are_the_same() {
        for (x, text) in [(json!(["y", 5]), "y,5"), (json!("y\"z"), "y\"z"), (json!(1.5), "1.5"), (json!([]), "")] {
            for (as_text, claim) in [(false, &x), (true, &json!(text))] {
                let (claims, texts, left_out) = made(&x, as_text, Shed::default());
                assert_eq!([&claims["a"], &claims["b"], &claims["c"]], [claim; 3], "{x}");
                assert_eq!((texts, left_out), (vec![text.to_owned(); 2], Vec::new()), "{x}");
                let (claims, ..) = made(&x, as_text, Shed::default().with(0));
                assert_eq!([&claims["a"], &claims["b"], &claims["c"]], [&Json::Null, claim, claim], "{x}");
                assert_eq!(claims["a_truncated"], true);
            }
        }
    }

    #[test]
    fn claims_of_what_cannot_be_represented_are_left_out() {
        for as_text in [false, true] {
            let (claims, texts, left_out) = made(&json!([1, 1e17]), as_text, Shed::default());
            assert!(["a", "b", "c"].iter().all(|name| claims.get(name).is_none()), "{claims}");
            assert_eq!((left_out, texts), (["a", "b", "c"].map(str::to_owned).to_vec(), Vec::new()));
            let (.., left_out) = made(&Json::Null, as_text, Shed::default());
            assert_eq!(left_out, Vec::<String>::new());
        }
    }
}
