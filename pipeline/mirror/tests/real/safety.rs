//! What must never happen: each test fails without its guard.

use std::thread;
use std::time::Duration;

use hyper::StatusCode;
use mirror::{Audience, MirrorSettings, ShareFault};
use schemas::{EventTime, Ratio, Span};

use crate::bed::{Bed, Manner, Witness, eventually, in_ms, stage, with_search};
use crate::client::Client;
use crate::forwarding::free_address;

fn pair_of_witnesses(shadow: Manner) -> (Witness, Witness) {
    (Witness::start("primary", Manner::Echo), Witness::start("shadow", shadow))
}

#[test]
fn what_may_change_something_is_not_mirrored_unless_it_is_allowed() {
    let (primary, shadow) = pair_of_witnesses(Manner::Echo);
    let bed = Bed::of(&primary, &shadow, MirrorSettings::default());
    let mut client = Client::http1(bed.mirror.address());
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(client.ask(method, "/search", &[], "").status, StatusCode::OK);
    }
    assert!(bed.comes_to(|counts| counts.excluded == 4));
    let allowing = Bed::of(&primary, &shadow, with_search());
    let mut client = Client::http1(allowing.mirror.address());
    client.ask("POST", "/search", &[], "");
    client.ask("POST", "/buy", &[], "");
    assert!(allowing.comes_to(|counts| counts.answered == 1 && counts.excluded == 1));
    let seen: Vec<String> = shadow.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen, ["/search"]);
}

#[test]
fn replicas_share_an_address_and_the_others_take_over_from_one_that_is_gone() {
    let primary = Witness::start("primary", Manner::Echo);
    let start = |of: mirror::Stage| mirror::Mirror::start(MirrorSettings::default(), of, |_| {});
    let of = |listen| mirror::Stage { listen, is_replica: true, ..stage(primary.address.into()) };
    let first = start(of(([127, 0, 0, 1], 0).into())).expect("a free port");
    let address = first.address();
    let alone = start(mirror::Stage { is_replica: false, ..of(address) });
    assert!(matches!(alone, Err(mirror::Error::Listen { .. })), "whoever is no replica finds the address taken");
    let second = start(of(address)).expect("shared");
    assert!((0..32).all(|_| Client::http1(address).get("/").witness() == "primary"));
    drop(first);
    assert!((0..32).all(|_| Client::http1(address).get("/").witness() == "primary"));
    drop(second);
}

#[test]
fn copies_never_go_to_the_primary_or_to_the_mirror() {
    let (primary, other, listen) = (free_address(), free_address(), free_address());
    let refused = |of: mirror::Stage| match mirror::Mirror::start(MirrorSettings::default(), of, |_| {}) {
        Err(mirror::Error::Follower(address, _)) => Some(address),
        _ => None,
    };
    let stage = || mirror::Stage { listen, ..stage(primary.into()) };
    for wrong in [primary, listen] {
        assert_eq!(refused(mirror::Stage { shadow: Some(wrong.into()), ..stage() }), Some(wrong));
        let pair = Some((other.into(), wrong.into()));
        assert_eq!(refused(mirror::Stage { pair, ..stage() }), Some(wrong));
    }
    assert_eq!(refused(mirror::Stage { shadow: Some(other.into()), ..stage() }), None);
}

#[test]
fn a_shadows_answer_never_reaches_a_client() {
    let (primary, shadow) = pair_of_witnesses(Manner::Echo);
    let bed = Bed::of(&primary, &shadow, MirrorSettings::default());
    let mut client = Client::http1(bed.mirror.address());
    for _ in 0..200 {
        assert_eq!(client.get("/").witness(), "primary");
    }
    assert!(bed.comes_to(|counts| counts.answered == 200));
    drop(primary);
    // Not even when nobody else could answer.
    assert_eq!(client.get("/").status, StatusCode::BAD_GATEWAY);
}

#[test]
fn nothing_is_mirrored_before_it_is_asked_for_and_mirroring_expires() {
    let (primary, shadow) = pair_of_witnesses(Manner::Echo);
    let of = mirror::Stage { shadow: Some(shadow.address.into()), ..stage(primary.address.into()) };
    let bed = Bed::start(MirrorSettings::default(), of);
    let mut client = Client::http1(bed.mirror.address());
    client.get("/");
    assert!(bed.comes_to(|counts| counts.unsampled == 1));
    bed.handle.set_share(Audience::Shadow, Ratio::new(1.0), in_ms(300)).expect("a share");
    thread::sleep(Duration::from_millis(400));
    client.get("/");
    assert!(bed.comes_to(|counts| counts.unsampled == 2));
    assert_eq!((shadow.count(), bed.handle.share(Audience::Shadow)), (0, Some(Ratio::new(0.0))));
}

#[test]
fn the_local_policy_caps_the_share_and_for_how_long() {
    let (primary, shadow) = pair_of_witnesses(Manner::Echo);
    let policy =
        MirrorSettings { share_max: Ratio::new(0.25), lasting_max: Span::from_secs(60), ..MirrorSettings::default() };
    let bed = Bed::of(&primary, &shadow, policy);
    let granted = bed.handle.set_share(Audience::Shadow, Ratio::new(1.0), in_ms(3_600_000)).expect("a share");
    assert_eq!(granted.share, Ratio::new(0.25));
    // A minute from now, and the test is not a minute old.
    assert!(granted.until <= in_ms(60_000) && granted.until > in_ms(0));
    let mut client = Client::http1(bed.mirror.address());
    (0..400).for_each(|_| assert_eq!(client.get("/").status, StatusCode::OK));
    assert!(bed.comes_to(|counts| counts.answered + counts.unsampled == 400));
    // 100 expected, with a deviation of 8.7: within four of it.
    assert!((65..=135).contains(&shadow.count()), "{}", shadow.count());
}

#[test]
fn a_share_that_makes_no_sense_is_refused_with_the_reason() {
    let (primary, shadow) = pair_of_witnesses(Manner::Echo);
    let bed = Bed::of(&primary, &shadow, MirrorSettings::default());
    let set = |audience, share, until| bed.handle.set_share(audience, Ratio::new(share), until);
    assert_eq!(set(Audience::Shadow, 1.5, in_ms(1_000)), Err(ShareFault::NotAShare(1.5)));
    let past = EventTime::from_millis(1_000);
    assert_eq!(set(Audience::Shadow, 0.5, past), Err(ShareFault::Past(past)));
    assert_eq!(set(Audience::Pair, 0.5, in_ms(1_000)), Err(ShareFault::Nobody));
    assert_eq!(bed.handle.share(Audience::Shadow), Some(Ratio::new(1.0)), "the share before stays in force");
}

#[test]
fn a_hung_shadow_holds_its_places_and_nothing_else() {
    let (primary, shadow) = pair_of_witnesses(Manner::Hang);
    let settings = MirrorSettings { copies_max: 8, follower_timeout: Span::from_secs(60), ..MirrorSettings::default() };
    let bed = Bed::of(&primary, &shadow, settings);
    let mut client = Client::http1(bed.mirror.address());
    for _ in 0..200 {
        assert_eq!(client.get("/").witness(), "primary");
    }
    // Eight copies hang, and all that came after them was dropped.
    assert!(bed.comes_to(|counts| counts.busy == 192));
    assert_eq!((bed.handle.copies_under_way(Audience::Shadow), primary.count()), (8, 200));
    assert!(eventually(|| shadow.count() == 8));
}

#[test]
fn a_hung_shadow_gives_its_places_back_in_time() {
    let (primary, shadow) = pair_of_witnesses(Manner::Hang);
    let settings = MirrorSettings { follower_timeout: Span::from_millis(100), ..MirrorSettings::default() };
    let bed = Bed::of(&primary, &shadow, settings);
    Client::http1(bed.mirror.address()).get("/");
    assert!(bed.comes_to(|counts| counts.timed_out == 1));
    assert!(eventually(|| bed.handle.copies_under_way(Audience::Shadow) == 0));
}

#[test]
fn bytes_of_copies_are_bounded() {
    let (primary, shadow) = pair_of_witnesses(Manner::Hang);
    let settings = MirrorSettings { copies_bytes_max: 2_500, ..with_search() };
    let bed = Bed::of(&primary, &shadow, settings);
    let mut client = Client::http1(bed.mirror.address());
    for _ in 0..5 {
        assert_eq!(client.ask("POST", "/search", &[], vec![7; 1_000]).body.len(), 1_000);
    }
    assert!(bed.comes_to(|counts| counts.over_bytes == 3));
}

#[test]
fn a_dead_shadow_is_counted_and_costs_the_primary_nothing() {
    let primary = Witness::start("primary", Manner::Echo);
    let bed = Bed::to(&primary, free_address(), MirrorSettings::default());
    let mut client = Client::http1(bed.mirror.address());
    for _ in 0..50 {
        assert_eq!(client.get("/").witness(), "primary");
    }
    assert!(bed.comes_to(|counts| counts.unreachable == 50));
}

#[test]
fn a_copy_is_not_copied_again() {
    let (primary, shadow) = pair_of_witnesses(Manner::Echo);
    let behind = Bed::of(&primary, &shadow, MirrorSettings::default());
    // A mirror whose shadow calls another mirrored workload.
    let bed = Bed::to(&primary, behind.mirror.address(), MirrorSettings::default());
    Client::http1(bed.mirror.address()).get("/");
    assert!(behind.comes_to(|counts| counts.marked == 1));
    assert_eq!(shadow.count(), 0);
}
