use proptest::prelude::*;

use super::*;
use crate::crypto::Secret;
use waxseal_core::decision::HeaderField;
use waxseal_core::message::{Address, Content, PLAN_FIELD, ReversePath};

fn secret(byte: u8) -> Secret {
    Secret::from_bytes([byte; 32])
}

fn keys() -> PlanKeys {
    PlanKeys::new(&secret(3), [])
}

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn path(text: &str) -> ReversePath {
    ReversePath::parse_bytes(text.as_bytes()).expect("a path")
}

fn content() -> Content {
    Content::new(
        b"Received: by mx\r\nFrom: Ann <ann@acme.test>\r\nSubject: Hi\r\n there\r\n\r\nText\r\n"
            .to_vec(),
    )
}

fn hop(relay: &str, return_path: &str) -> PlannedHop {
    PlannedHop {
        relay: relay.to_owned(),
        return_path: path(return_path),
    }
}

fn plan() -> Plan {
    Plan {
        nonce: PlanNonce([7; 16]),
        queue_id: "4jYjRW5t6bz1WXpk".to_owned(),
        arrival: jiff::Timestamp::constant(1_800_000_000, 0),
        sender: path("ann@acme.test"),
        routes: vec![
            PlannedRoute {
                recipients: vec![
                    RecipientPattern::Domain("partner.test".to_owned()),
                    RecipientPattern::Address(address("bob@other.test")),
                ],
                hops: vec![hop("south", "ann@acme.test")],
                default_return_path: path("ann@acme.test"),
            },
            PlannedRoute {
                recipients: Vec::new(),
                hops: vec![hop("north", "b-x@bounce.acme.test"), hop("south", "")],
                default_return_path: path("b-x@bounce.acme.test"),
            },
        ],
        dsn: Dsn {
            ret: Some(DsnReturn::Headers),
            envid: Some("QQ314159".to_owned()),
        },
        labels: vec![HeaderField {
            name: "campaign".to_owned(),
            value: "spring".to_owned(),
        }],
        policy_version: "12".to_owned(),
    }
}

fn sealed(plan: &Plan) -> String {
    seal(&keys(), plan, &ContentDigest::of(&content())).expect("sealed")
}

fn opened(value: &str) -> Result<Plan, PlanError> {
    open(&keys(), value.as_bytes(), &ContentDigest::of(&content()))
}

#[test]
fn r6_a_plan_travels_in_a_header_field() {
    let value = sealed(&plan());
    assert_eq!(opened(&value), Ok(plan()));
    assert!(value.starts_with(' ') && value.is_ascii());
    for line in format!("{PLAN_FIELD}:{value}").split("\r\n") {
        assert!(line.len() <= 78, "{line}");
    }
    // However it was folded, and with what around it.
    let refolded = value.replace("\r\n ", "\n\t");
    assert_eq!(opened(&format!("{refolded}\r\n")), Ok(plan()));
}

#[test]
fn nothing_of_a_plan_can_be_read_without_the_secret() {
    let value = sealed(&plan()).replace("\r\n ", "");
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(value.trim().as_bytes())
        .expect("base64");
    for text in ["acme", "north", "spring", "QQ314159"] {
        let found = bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes());
        assert!(!found, "{text}");
    }
}

#[test]
fn r34_the_first_route_that_a_recipient_matches_applies() {
    let plan = plan();
    let relays = |recipient: &str| -> Vec<&str> {
        let route = plan.route_of(&address(recipient)).expect("a route");
        route.hops.iter().map(|hop| hop.relay.as_str()).collect()
    };
    assert_eq!(relays("x@Partner.test"), ["south"]);
    assert_eq!(relays("Bob@other.test"), ["south"]);
    assert_eq!(relays("eve@other.test"), ["north", "south"]);
    assert_eq!(relays("x@sub.partner.test"), ["north", "south"]);
    let only_first = Plan {
        routes: plan.routes[..1].to_vec(),
        ..plan.clone()
    };
    assert!(only_first.route_of(&address("eve@other.test")).is_none());
}

#[test]
fn a_plan_of_another_secret_is_recognized() {
    let value = seal(
        &PlanKeys::new(&secret(4), []),
        &plan(),
        &ContentDigest::of(&content()),
    );
    let value = value.expect("sealed");
    assert_eq!(opened(&value), Err(PlanError::OtherSecret));
    // Until the earlier secret is known, too.
    let both = PlanKeys::new(&secret(3), [&secret(4)]);
    let digest = ContentDigest::of(&content());
    assert_eq!(open(&both, value.as_bytes(), &digest), Ok(plan()));
    let fresh = seal(&both, &plan(), &digest).expect("sealed");
    assert_eq!(opened(&fresh), Ok(plan()));
}

#[test]
fn what_is_no_plan_is_refused_by_kind() {
    use PlanError::*;
    let long = "A".repeat(LONGEST_FIELD + 1);
    let cases = [
        ("", NotAPlan),
        ("%%%", NotAPlan),
        ("northwind", NotAPlan),
        ("AQ", NotAPlan),
        ("AQAAAA", NotAPlan),
        ("CQAAAA", UnknownVersion(9)),
        (&long, TooLong),
    ];
    for (value, expected) in cases {
        assert_eq!(opened(value), Err(expected), "{value}");
    }
}

#[test]
fn a_plan_is_bound_to_the_content_of_its_message() {
    let value = sealed(&plan());
    let open_with = |message: &str| {
        let content = Content::new(message.as_bytes().to_vec());
        open(&keys(), value.as_bytes(), &ContentDigest::of(&content))
    };
    // Fields that are added on the way, another folding, a missing line break.
    for same in [
        "Received: by r\r\nReceived: by mx\r\nFrom: Ann <ann@acme.test>\r\nSubject: Hi there\r\nX-Spam: no\r\n\r\nText\r\n",
        "FROM:Ann  <ann@acme.test>\r\nsubject:\tHi\r\n\tthere\r\n\r\nText",
    ] {
        assert_eq!(open_with(same), Ok(plan()), "{same}");
    }
    for other in [
        "From: Ann <ann@acme.test>\r\nSubject: Hi there\r\n\r\nText2\r\n",
        "From: Eve <ann@acme.test>\r\nSubject: Hi there\r\n\r\nText\r\n",
        "From: Ann <ann@acme.test>\r\nSubject: Hi there\r\nTo: x@y.test\r\n\r\nText\r\n",
        "Subject: Hi there\r\nFrom: Ann <ann@acme.test>\r\n\r\nText\r\n",
        "From: Ann <ann@acme.test>\r\n\r\nText\r\n",
    ] {
        assert_eq!(open_with(other), Err(PlanError::OtherContent), "{other}");
    }
}

#[test]
fn fields_that_a_sender_wrote_do_not_hide_the_plan() {
    let message = |fields: &[&str]| {
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend_from_slice(format!("{PLAN_FIELD}:{field}\r\n").as_bytes());
        }
        bytes.extend_from_slice(content().bytes());
        Content::new(bytes)
    };
    let value = sealed(&plan());
    let forged = " AQ".to_owned() + &"A".repeat(80);
    let opened = |fields: &[&str]| open_message(&keys(), &message(fields));
    assert_eq!(opened(&[]), Err(PlanError::Missing));
    assert_eq!(opened(&[" junk", &value, &forged]), Ok(plan()));
    assert_eq!(opened(&[" junk", &forged]), Err(PlanError::OtherSecret));
}

#[test]
fn a_plan_that_no_header_field_can_hold_is_refused() {
    let digest = ContentDigest::of(&content());
    let refused = |plan: &Plan| seal(&keys(), plan, &digest).expect_err("refused");
    let pattern = |nth: usize| RecipientPattern::Domain(format!("{}{nth}.test", "x".repeat(200)));
    let mut large = plan();
    large.routes[0].recipients = (0..900).map(pattern).collect();
    assert!(matches!(refused(&large), SealError::TooLong { .. }));
    large.routes[0].recipients = (0..1001).map(pattern).collect();
    assert_eq!(refused(&large), SealError::TooMany("recipient patterns"));
    let mut long = plan();
    long.policy_version = "9".repeat(301);
    assert_eq!(refused(&long), SealError::TextTooLong("policy version"));
    // Enough for a message to some hundred domains.
    let mut usual = plan();
    let pattern = |nth: usize| RecipientPattern::Domain(format!("domain-{nth}.example.test"));
    usual.routes[0].recipients = (0..800).map(pattern).collect();
    assert_eq!(opened(&sealed(&usual)), Ok(usual));
}

fn any_path() -> impl Strategy<Value = ReversePath> {
    "([a-zé]{1,9}@[a-z]{1,9}\\.test)?".prop_map(|text| path(&text))
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let pattern = prop_oneof![
        "[a-z]{1,9}\\.test".prop_map(RecipientPattern::Domain),
        "[a-zé\"]{1,9}@[a-z]{1,9}".prop_map(|text| RecipientPattern::Address(address(&text))),
    ];
    let hop = ("[a-z-]{1,20}", any_path())
        .prop_map(|(relay, return_path)| PlannedHop { relay, return_path });
    let route = (
        prop::collection::vec(pattern, 0..5),
        prop::collection::vec(hop, 0..5),
        any_path(),
    );
    let route = route.prop_map(|(recipients, hops, default_return_path)| PlannedRoute {
        recipients,
        hops,
        default_return_path,
    });
    let label = (".{0,20}", ".{0,20}").prop_map(|(name, value)| HeaderField { name, value });
    let ret = prop::option::of(prop_oneof![Just(DsnReturn::Full), Just(DsnReturn::Headers)]);
    let dsn = (ret, prop::option::of("[!-~]{0,100}"));
    (
        any::<[u8; 16]>(),
        "[A-Za-z0-9]{0,20}",
        0..4_000_000_000i64,
        any_path(),
        prop::collection::vec(route, 0..4),
        dsn,
        prop::collection::vec(label, 0..4),
        ".{0,20}",
    )
        .prop_map(
            |(nonce, queue_id, arrival, sender, routes, (ret, envid), labels, policy_version)| {
                Plan {
                    nonce: PlanNonce(nonce),
                    queue_id,
                    arrival: jiff::Timestamp::from_second(arrival).expect("time"),
                    sender,
                    routes,
                    dsn: Dsn { ret, envid },
                    labels,
                    policy_version,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened(plan in any_plan()) {
        prop_assert_eq!(opened(&sealed(&plan)), Ok(plan));
    }

    #[test]
    fn what_was_altered_is_not(plan in any_plan(), at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_%-]") {
        let mut value = sealed(&plan).replace("\r\n ", "").trim().to_owned();
        let at = at.index(value.len());
        prop_assume!(&value[at..=at] != with.as_str());
        value.replace_range(at..=at, &with);
        prop_assert!(opened(&value).is_err());
    }

    #[test]
    fn what_we_did_not_seal_is_not_opened(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let digest = ContentDigest::of(&content());
        prop_assert!(open(&keys(), &value, &digest).is_err());
    }

    #[test]
    fn an_authentic_payload_of_anything_is_a_plan_within_bounds_or_invalid(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(payload::decode(PlanNonce([0; 16]), &bytes).is_none());
    }
}
