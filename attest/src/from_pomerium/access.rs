//! Who may pass on a route.

use serde_json::{Value as Json, json};

use super::criterion::{self, Refusal, all_of, any_of, everybody};
use super::left::{Kind, Lefts};
use super::options::Options;
use crate::check::node::{Member, Node, Value};

pub(super) const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";

/// Who may pass.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Access {
    /// Everybody, signed in or not.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever is signed in and fits this principal of `rbac`.
    Some(Json),
    /// Nobody.
    Nobody,
}

impl Access {
    /// What a route says. What is not understood lets nobody pass.
    pub(super) fn of(route: &Node, options: &Options, lefts: &mut Lefts) -> Self {
        match principal(route) {
            Ok(Some(principal)) if principal == everybody() => Self::Public,
            Ok(Some(principal)) => {
                groups(route, lefts);
                Self::Some(principal)
            }
            Ok(None) => {
                let cure = "as in Pomerium; allow_any_authenticated_user: true lets whoever is signed in pass";
                lefts.add(Kind::Differs, &route.place, "the route has no policy: nobody passes", cure);
                Self::Nobody
            }
            Err(reason) => Self::without_policy(route, &reason, options, lefts),
        }
    }

    /// What becomes of a route whose policy is not understood.
    fn without_policy(route: &Node, reason: &str, options: &Options, lefts: &mut Lefts) -> Self {
        let place = &route.get("policy").unwrap_or(route).place;
        if options.allow_signed_in {
            let reason = format!("the policy is not carried over, and whoever is signed in passes: {reason}");
            lefts.add(Kind::Differs, place, reason, "write the policy as rbac or behind ext_authz on this route");
            return Self::SignedIn;
        }
        let cure = "write the policy as rbac or behind ext_authz on this route; --allow-signed-in lets whoever is \
                    signed in pass";
        let reason = format!("the policy is not carried over, and the route answers 403: {reason}");
        lefts.add(Kind::Closed, place, reason, cure);
        Self::Nobody
    }

    /// What the route says to the `rbac` filter, which lets nobody pass where nothing is said.
    pub(super) fn rbac(&self) -> Option<Json> {
        let per_route = format!("{RBAC}PerRoute");
        match self {
            Self::Public | Self::SignedIn => Some(json!({ "@type": per_route })),
            Self::Some(principal) => Some(json!({
                "@type": per_route,
                "rbac": {"rules": {"action": "ALLOW", "policies": {"pomerium": {
                    "permissions": [{"any": true}],
                    "principals": [principal],
                }}}},
            })),
            Self::Nobody => None,
        }
    }
}

/// One `allow` that fits, and no `deny`.
fn principal(route: &Node) -> Result<Option<Json>, Refusal> {
    if route.get("sub_policies").is_some() {
        return Err("sub_policies are not read".into());
    }
    let mut rules = Rules { allow: lists(route)?, deny: Vec::new() };
    match route.get("policy") {
        Some(list) if !list.items().is_empty() => list.items().iter().try_for_each(|rule| rules.read(rule))?,
        Some(rule) => rules.read(rule)?,
        None => {}
    }
    if rules.allow.is_empty() {
        return Ok(None);
    }
    let allow = any_of(rules.allow);
    Ok(Some(match rules.deny.is_empty() {
        true => allow,
        false => all_of(vec![allow, json!({"not_id": any_of(rules.deny)})]),
    }))
}

/// The lists that a route had before there was a policy language.
fn lists(route: &Node) -> Result<Vec<Json>, Refusal> {
    let mut allow = Vec::new();
    let mut add = |name: &str, value: &Node| {
        let member = Member { name: name.into(), line: value.place.line, value: value.clone() };
        criterion::principal(&member).map(|principal| allow.push(principal))
    };
    for (list, names) in
        [("allowed_domains", &["domain"][..]), ("allowed_users", &["user", "email"]), ("allowed_groups", &["groups"])]
    {
        for value in route.list(list) {
            names.iter().try_for_each(|name| add(name, value))?;
        }
    }
    for claim in route.get("allowed_idp_claims").map(Node::members).unwrap_or_default() {
        let name = format!("claim/{}", claim.name);
        claim.value.items().iter().try_for_each(|value| add(&name, value))?;
    }
    let on = Node { value: Value::Bool(true), place: route.place.clone(), plain: None };
    for (name, criterion) in
        [("allow_any_authenticated_user", "authenticated_user"), ("allow_public_unauthenticated_access", "accept")]
    {
        if route.is_true(name) {
            add(criterion, &on)?;
        }
    }
    Ok(allow)
}

/// The rules of a policy: each operator of each is one.
#[derive(Default)]
struct Rules {
    allow: Vec<Json>,
    deny: Vec<Json>,
}

impl Rules {
    fn read(&mut self, rule: &Node) -> Result<(), Refusal> {
        if rule.members().is_empty() {
            return Err("a rule has neither allow nor deny".into());
        }
        for action in rule.members() {
            let terms = match &*action.name {
                "allow" => &mut self.allow,
                "deny" => &mut self.deny,
                other => return Err(format!("{other} is neither allow nor deny")),
            };
            for operator in action.value.members() {
                terms.extend(term(operator)?);
            }
        }
        Ok(())
    }
}

fn term(operator: &Member) -> Result<Option<Json>, Refusal> {
    let mut principals = Vec::new();
    if operator.value.items().is_empty() {
        return Err(format!("{} has no list of criteria", operator.name));
    }
    for criterion in operator.value.items() {
        let [criterion] = criterion.members() else { return Err("a criterion has not exactly one name".into()) };
        // A preflight has a route of its own.
        if !is_preflight(operator, criterion) {
            principals.push(criterion::principal(criterion)?);
        }
    }
    if principals.is_empty() {
        return Ok(None);
    }
    let not = |principal: &Json| json!({ "not_id": principal });
    Ok(Some(match &*operator.name {
        "and" => all_of(principals),
        "or" => any_of(principals),
        "not" => all_of(principals.iter().map(not).collect()),
        "nor" => any_of(principals.iter().map(not).collect()),
        other => return Err(format!("{other} is none of and, or, not, nor")),
    }))
}

/// Whether this lets preflights pass, whatever else is said.
fn is_preflight(operator: &Member, criterion: &Member) -> bool {
    &*operator.name == "or" && &*criterion.name == "cors_preflight"
}

/// Whether a preflight passes without a user.
pub(super) fn allows_preflight(route: &Node) -> bool {
    let rules = |policy: &Node| if policy.items().is_empty() { vec![policy.clone()] } else { policy.items().to_vec() };
    let is_in = |rule: &Node| {
        let or = rule.at(&["allow", "or"]).map(Node::items).unwrap_or_default();
        or.iter().any(|criterion| criterion.members().iter().any(|member| &*member.name == "cors_preflight"))
    };
    route.is_true("cors_allow_preflight") || route.get("policy").is_some_and(|it| rules(it).iter().any(is_in))
}

/// Pomerium has groups from a directory; here they are the token's.
fn groups(route: &Node, lefts: &mut Lefts) {
    let mut found = route.get("allowed_groups");
    if let Some(policy) = route.get("policy") {
        policy.each(&mut |node| found = found.or_else(|| node.get("groups")));
    }
    if let Some(node) = found {
        let reason = "groups are those of the ID token, not of a directory";
        let cure = "have the identity provider put the same names into the claim groups";
        lefts.add(Kind::Differs, &node.place, reason, cure);
    }
}
