use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::TaskId;
use crate::wire::LegacyKey;
use crate::wire::crypto::Policy;
use crate::wire::crypto::samples::both;

const NOW: u64 = 1_700_000_000_000;
const FORMS: [BodyForm; 4] = [BodyForm::Plain, BodyForm::Legacy, BodyForm::Bridge, BodyForm::V2];

fn mail() -> QueueName {
    QueueName::new("mail").unwrap()
}

fn post() -> QueueName {
    QueueName::new("post").unwrap()
}

/// A codec that accepts all forms and sends v2 frames.
fn codec() -> Codec {
    Codec::new(&both().with_policy(Policy::new(BodyForm::V2, FORMS).unwrap())).unwrap()
}

fn pool() -> EntropyPool {
    EntropyPool::from_seed(&[1; 32])
}

fn rewrite(
    codec: &Codec,
    body: &Body,
    requeue: &Requeue,
    target: &QueueName,
) -> Result<Body, Obstacle> {
    let mut entropy = pool();
    let max_body = 10_000;
    let mut rewriter =
        Rewriter { codec, entropy: &mut entropy, requeue, max_body, posts_bytes: true, now: NOW };
    let origin = &mail();
    rewriter.task(&TaskMessage { body, origin, reason: None, attempts: 11 }, target)
}

/// A message with these fields of `options.ivy`, after it was requeued.
fn requeued(fields: &str, requeue: &Requeue) -> Result<String, Obstacle> {
    let id = TaskId::from_random([7; 16]);
    let text = format!(
        r#"{{"name":"t","options":{{"x":1,"ivy":{{"v":1,"id":"{id}"{fields}}}}},"args":[]}}"#
    );
    let body = rewrite(&Codec::plain(), &Body::new(text), requeue, &mail())?;
    let before = format!(r#"{{"name":"t","options":{{"x":1,"ivy":{{"v":1,"id":"{id}""#);
    let after = body.as_str().strip_prefix(&before).expect("the rest is unchanged");
    Ok(after.strip_suffix("}},\"args\":[]}").expect("the rest is unchanged").to_owned())
}

#[test]
fn the_counts_of_the_attempt_are_dropped_and_requeues_are_counted() {
    let fields = r#","reply":"c","attempt":11,"due":5,"lost":2,"later":3,"requeued":4,"y":[1]"#;
    assert_eq!(
        requeued(fields, &Requeue::new()).unwrap(),
        format!(r#","reply":"c","due":{NOW},"requeued":5,"y":[1]"#)
    );
}

#[test]
fn a_message_that_says_little_says_when_it_is_due() {
    let delayed = Requeue::new().with_delay(Duration::from_secs(1));
    let due = NOW + 1_000;
    assert_eq!(requeued("", &delayed).unwrap(), format!(r#","due":{due},"requeued":1"#));
}

#[test]
fn kept_attempts_leave_one_more_run() {
    let kept = requeued("", &Requeue::new().keep_attempts()).unwrap();
    assert_eq!(kept, format!(r#","attempt":11,"due":{NOW},"requeued":1"#));
}

#[test]
fn a_deadline_is_kept_until_it_passes_and_dropped_on_request() {
    let in_a_second = format!(r#","deadline":{}"#, NOW + 1_000);
    let kept = requeued(&in_a_second, &Requeue::new()).unwrap();
    assert!(kept.contains("deadline"), "{kept}");
    // The message would be started after its deadline.
    let delayed = Requeue::new().with_delay(Duration::from_secs(2));
    assert_eq!(requeued(&in_a_second, &delayed), Err(Obstacle::DeadlinePassed));
    let dropped = requeued(&in_a_second, &delayed.drop_deadline()).unwrap();
    assert!(!dropped.contains("deadline"), "{dropped}");
}

#[test]
fn a_letter_that_was_too_late_by_another_clock_is_still_too_late() {
    let id = TaskId::from_random([7; 16]);
    let later = NOW + 1_000_000;
    let body = Body::new(format!(
        r#"{{"name":"t","options":{{"ivy":{{"v":1,"id":"{id}","deadline":{later}}}}},"args":[]}}"#
    ));
    let (mut entropy, codec, requeue) = (pool(), Codec::plain(), Requeue::new());
    let mut rewriter = Rewriter {
        codec: &codec,
        entropy: &mut entropy,
        requeue: &requeue,
        max_body: 10_000,
        posts_bytes: true,
        now: NOW,
    };
    let reason = Some(DeadLetterReason::Deadline);
    let message = TaskMessage { body: &body, origin: &mail(), reason, attempts: 0 };
    assert_eq!(rewriter.task(&message, &mail()), Err(Obstacle::DeadlinePassed));
}

#[test]
fn the_time_of_the_call_is_now_if_the_queue_limits_the_age() {
    let limited = Policy::plain().with_max_age(Duration::from_secs(60));
    let limited = Codec::new(&both().with_policy(limited)).unwrap();
    let id = TaskId::from_random([7; 16]);
    let text =
        format!(r#"{{"name":"t","options":{{"ivy":{{"v":1,"id":"{id}","iat":5}}}},"args":[]}}"#);
    let called = |codec: &Codec| {
        let body = rewrite(codec, &Body::new(text.as_str()), &Requeue::new(), &mail()).unwrap();
        Envelope::parse(body.as_str()).unwrap().options.ivy().unwrap().called
    };
    assert_eq!(called(&limited), Some(NOW));
    assert_eq!(called(&Codec::plain()), Some(5));
}

#[test]
fn a_message_of_the_node_package_stays_as_it_is() {
    let text = r#"{"name":"test","options":{"retry":true,"maxRetries":10},"args":[1,"two"]}"#;
    let requeue = Requeue::new().keep_attempts().drop_deadline();
    let body = rewrite(&Codec::plain(), &Body::new(text), &requeue, &mail()).unwrap();
    assert_eq!(body.as_str(), text);
    let legacy = Codec::legacy(LegacyKey::new("pass").unwrap());
    let sealed = Body::new(LegacyKey::new("pass").unwrap().encrypt(text));
    assert_eq!(rewrite(&legacy, &sealed, &requeue, &mail()).unwrap(), sealed);
}

#[test]
fn a_message_moves_to_another_queue_in_its_form_and_opens_only_there() {
    let codec = codec();
    let envelope = Envelope::parse(r#"{"name":"t","options":{},"args":[5]}"#).unwrap();
    for form in FORMS {
        let body = codec.seal_as(form, &envelope, &mail(), &mut pool()).unwrap();
        let moved = rewrite(&codec, &body, &Requeue::new(), &post()).unwrap();
        assert_eq!(Codec::form(&moved), Some(form));
        assert_eq!(codec.open(&moved, &post()).unwrap(), envelope);
        assert_eq!(codec.open(&moved, &mail()).is_err(), form.is_authenticated());
    }
}

#[test]
fn a_form_that_the_new_queue_does_not_accept_is_refused() {
    let encryption = both().with_policy(Policy::plain()).with_queue(post(), Policy::v2());
    let codec = Codec::new(&encryption).unwrap();
    let body = Body::new(r#"{"name":"t","options":{},"args":[]}"#);
    let refused = rewrite(&codec, &body, &Requeue::new(), &post());
    assert_eq!(refused, Err(Obstacle::FormNotAccepted(BodyForm::Plain)));
}

#[test]
fn a_frame_whose_tag_cannot_be_made_again_is_refused() {
    let envelope = Envelope::parse(r#"{"name":"t","options":{},"args":[]}"#).unwrap();
    let encryption = both().with_policy(Policy::bridge());
    let bridge = Codec::new(&encryption).unwrap().seal(&envelope, &mail(), &mut pool());
    // With the password alone, the frame opens and its tag is ignored.
    let password = encryption.password().unwrap().expose().to_owned();
    let legacy = Codec::legacy(LegacyKey::new(&password).unwrap());
    assert!(legacy.open(&bridge, &mail()).is_ok());
    let refused = rewrite(&legacy, &bridge, &Requeue::new(), &mail());
    assert_eq!(refused, Err(Obstacle::NoKey(BodyForm::Bridge)));
}

#[test]
fn a_message_without_a_key_or_that_became_too_large_is_refused() {
    let refused = rewrite(
        &Codec::plain(),
        &Body::new(
            "$ivy2$k1$gPUfZTa-3M7tFILMty5lfwYJXL10hrz6qMVdXwhEC4ucceaJInsBVAUXwEWLkU1FKTA2orEuWDclqIXIHD6M7A",
        ),
        &Requeue::new(),
        &mail(),
    );
    assert_eq!(refused, Err(Obstacle::Unreadable(DeadLetterReason::NoKey)));
    let large = format!(r#"{{"name":"t","options":{{}},"args":["{}"]}}"#, "x".repeat(10_000));
    let refused = rewrite(&Codec::plain(), &Body::new(large), &Requeue::new(), &mail());
    assert_eq!(refused, Err(Obstacle::TooLarge));
}

/// A JSON value as text.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-z\\PC]{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("1e400".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|map| {
                let entries = map.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    /// All of a readable message is preserved, in the form that it had, except for the counts of its
    /// attempt.
    #[test]
    fn everything_else_survives(
        args in prop::collection::vec(json(), 0..4),
        unknown in prop::collection::btree_map("u[a-z]{1,6}", json(), 0..4),
        unknown_ivy in prop::collection::btree_map("u[a-z]{1,6}", json(), 0..4),
        counts in any::<[u32; 4]>(),
        retries in prop::option::of(0_u32..=100),
        reply in prop::option::of("[a-z.]{1,20}"),
        form in prop::sample::select(FORMS.to_vec()),
    ) {
        let entries = |map: &std::collections::BTreeMap<String, String>| {
            map.iter().map(|(key, value)| format!(",\"{key}\":{value}")).collect::<String>()
        };
        let [attempt, lost, later, requeued] = counts;
        let attempt = attempt.max(1);
        let retries = retries.map(|retries| format!(",\"maxRetries\":{retries}")).unwrap_or_default();
        let reply = reply.map(|reply| format!(",\"reply\":\"{reply}\"")).unwrap_or_default();
        let id = TaskId::from_random([9; 16]);
        let text = format!(
            r#"{{"name":"t","options":{{"retry":true{retries}{},"ivy":{{"v":1,"id":"{id}"{reply},"attempt":{attempt},"lost":{lost},"later":{later},"requeued":{requeued}{}}}}},"args":[{}]}}"#,
            entries(&unknown), entries(&unknown_ivy), args.join(",")
        );
        let codec = codec();
        let mut before = Envelope::parse(&text).unwrap();
        // Counts of zero are not written.
        let ivy = before.options.ivy().unwrap().clone();
        before.options = before.options.with_ivy(ivy);
        let body = codec.seal_as(form, &before, &mail(), &mut pool()).unwrap();
        prop_assume!(body.as_str().len() < 9_000);
        let rewritten = rewrite(&codec, &body, &Requeue::new(), &mail()).unwrap();
        prop_assert_eq!(Codec::form(&rewritten), Some(form));
        let after = codec.open(&rewritten, &mail()).unwrap();
        let ivy = after.options.ivy().unwrap();
        prop_assert_eq!((ivy.attempt, ivy.lost, ivy.later), (1, 0, 0));
        prop_assert_eq!((ivy.requeued, ivy.due), (requeued.saturating_add(1), Some(NOW)));
        // With the changed fields put back, it is the message that it was.
        let mut ivy = ivy.clone();
        (ivy.attempt, ivy.lost, ivy.later, ivy.requeued) = (attempt, lost, later, requeued);
        ivy.due = None;
        let restored = Envelope { options: after.options.with_ivy(ivy), ..after };


        prop_assert_eq!(restored.name, before.name);
        prop_assert_eq!(restored.args, before.args);
        prop_assert_eq!(restored.options, before.options);
    }
}
