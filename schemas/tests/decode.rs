//! Whatever arrives on the samples topic is samples or a named reason, never a panic; and what we write, we read.

use proptest::prelude::*;
use proptest::sample::Index;
use schemas::decode::{self, ARROW_STREAM, Fault, JSON, MESSAGE_BYTES_MAX, Read};
use schemas::samples::Builder;
use schemas::{EventTime, InstanceId, Metric, RejectReason, Role, Sample, TenantId, WorkloadId, batch};

const LOG_TIME: EventTime = EventTime::from_millis(1_772_443_800_000);

#[test]
fn whole_messages_are_refused_with_their_reason() {
    let valid = batch::encode(&[sample()]);
    let cases: [(&str, Option<&str>, Vec<u8>, RejectReason); 13] = [
        ("no bytes", None, vec![], RejectReason::Undecodable),
        ("text", None, b"hello".to_vec(), RejectReason::Undecodable),
        ("half a JSON object", None, b"{\"workload\":".to_vec(), RejectReason::Undecodable),
        ("JSON said to be Arrow", Some(ARROW_STREAM), b"{}".to_vec(), RejectReason::Undecodable),
        ("Arrow said to be JSON", Some(JSON), valid.clone(), RejectReason::Undecodable),
        ("half an Arrow stream", None, valid[..valid.len() / 2].to_vec(), RejectReason::Undecodable),
        ("another content type", Some("text/csv"), valid, RejectReason::ContentType),
        ("an empty array", None, b"[]".to_vec(), RejectReason::EmptyBatch),
        ("a batch of zero rows", None, batch::encode(&[]), RejectReason::EmptyBatch),
        ("no workload", None, b"{\"cpu_used_cores\":1}".to_vec(), RejectReason::Schema),
        ("an unknown field", None, b"{\"workload\":\"a\",\"cpu\":1}".to_vec(), RejectReason::Schema),
        ("another version", None, b"{\"version\":2,\"workload\":\"a\"}".to_vec(), RejectReason::UnknownVersion),
        ("too many bytes", None, vec![b' '; MESSAGE_BYTES_MAX + 1], RejectReason::TooLarge),
    ];
    for (case, content_type, bytes, reason) in cases {
        let fault = decode::samples(content_type, &bytes, LOG_TIME).expect_err(case);
        assert_eq!(fault.reason, reason, "{case}: {}", fault.detail);
    }
}

#[test]
fn a_bad_reading_costs_its_own_row_only() {
    let good = || sample_with(Metric::CpuPressure, 0.35);
    for (bad, fault) in [(f64::NAN, "finite"), (f64::INFINITY, "finite"), (-0.01, "negative"), (35.0, "percent")] {
        let message = batch::encode(&[good(), sample_with(Metric::CpuPressure, bad), good()]);
        let rows = decode::samples(None, &message, LOG_TIME).expect("the message is whole");
        assert_eq!((&rows[0], &rows[2]), (&Ok(good()), &Ok(good())));
        let detail = rows[1].as_ref().expect_err("the reading is impossible");
        assert!(detail.contains(fault) && detail.contains("cpu_pressure_ratio"), "{detail}");
    }
}

#[test]
fn a_json_array_is_refused_row_by_row() {
    let text = br#"[{"workload":"a","cpu_used_cores":0.5},{"workload":"a","cpu_pressure_ratio":35},{"cpu":1},7]"#;
    let rows = decode::samples(None, text, LOG_TIME).expect("the array is whole");
    let first = rows[0].as_ref().expect("a good row");
    assert_eq!((first.time, first.cpu_pressure_ratio), (LOG_TIME, None), "the log's time; and missing is not zero");
    assert!(rows[1].as_ref().expect_err("percent").contains("not in percent"));
    assert!(rows[2].as_ref().expect_err("unknown field").contains("unknown field `cpu`"));
    assert!(rows[3].is_err());
}

/// What a message held, read with a builder that may know names and heads.
fn read(bytes: &[u8], builder: &mut Builder) -> Result<(Read, Vec<Sample>), Fault> {
    let read = decode::append(Some(ARROW_STREAM), bytes, LOG_TIME, builder);
    let columns = builder.take();
    Ok((read?, (0..columns.len()).map(|row| columns.sample(row)).collect()))
}

proptest! {
    #[test]
    fn what_is_written_is_read(samples in prop::collection::vec(any_sample(), 1..50)) {
        let rows = decode::samples(Some(ARROW_STREAM), &batch::encode(&samples), LOG_TIME).expect("our own message");
        let read: Vec<Sample> = rows.into_iter().map(|row| row.expect("our own row")).collect();
        prop_assert_eq!(read, samples);
    }

    #[test]
    fn json_comes_back_bit_for_bit(sample in any_sample()) {
        let text = serde_json::to_vec(&sample).expect("a sample is JSON");
        prop_assert_eq!(decode::samples(None, &text, LOG_TIME).expect("our own text"), vec![Ok(sample)]);
    }

    #[test]
    fn random_bytes_never_panic(
        content_type in prop::option::of(prop::sample::select(vec![ARROW_STREAM, JSON])),
        bytes in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let _ = decode::samples(content_type, &bytes, LOG_TIME);
    }

    #[test]
    fn a_known_head_and_known_names_change_nothing(
        first in prop::collection::vec(any_sample(), 1..6),
        second in prop::collection::vec(any_sample(), 1..20),
        at in any::<Index>(),
        flip in 1u8..,
        tail in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let whole = batch::encode(&second);
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] ^= flip;
        let unended = whole[..whole.len() - 8].to_vec();
        let twice_ended = [whole.as_slice(), &whole[whole.len() - 8..]].concat();
        let cut = whole[..at.index(whole.len())].to_vec();
        let longer = [whole.as_slice(), &tail].concat();
        for bytes in [whole.clone(), flipped, unended, twice_ended, cut, longer] {
            let mut knowing = Builder::default();
            for _ in 0..2 {
                read(&batch::encode(&first), &mut knowing).expect("our own message");
            }
            for bytes in [&bytes, &whole, &bytes] {
                prop_assert_eq!(read(bytes, &mut knowing), read(bytes, &mut Builder::default()));
            }
        }
    }

    #[test]
    fn a_cut_message_is_refused_or_whole(samples in prop::collection::vec(any_sample(), 1..20), at in any::<Index>()) {
        let message = batch::encode(&samples);
        let cut = &message[..at.index(message.len())];
        // Only the end-of-stream mark may be missing: then all rows are there.
        if let Ok(rows) = decode::samples(Some(ARROW_STREAM), cut, LOG_TIME) {
            prop_assert_eq!(rows.len(), samples.len());
        }
    }

    #[test]
    fn flipped_bits_never_panic(
        samples in prop::collection::vec(any_sample(), 1..20),
        flips in prop::collection::vec((any::<Index>(), 0..8_u32), 1..8),
    ) {
        let mut message = batch::encode(&samples);
        for (at, bit) in flips {
            let at = at.index(message.len());
            message[at] ^= 1 << bit;
        }
        let _ = decode::samples(Some(ARROW_STREAM), &message, LOG_TIME);
    }
}

fn sample() -> Sample {
    Sample::new(LOG_TIME, WorkloadId::new("checkout").expect("a name"))
}

/// With the instance named, as the native lane writes it.
fn sample_with(metric: Metric, value: f64) -> Sample {
    let mut sample = Sample { instance: Some(InstanceId::new("checkout-1").expect("a name")), ..sample() };
    sample.set(metric, Some(value));
    sample
}

prop_compose! {
    /// Any sample that the native lane can carry; half of the readings were not taken.
    fn any_sample()(
        time in 1..EventTime::MAX.millis(),
        names in prop::array::uniform3("[a-z][a-z0-9./-]{0,20}"),
        role in prop::sample::select(Role::ALL.to_vec()),
        readings in prop::collection::vec(prop::option::of(0.0..=1.0_f64), Metric::COUNT),
    ) -> Sample {
        let [tenant, workload, instance] = names;
        let mut sample = Sample {
            tenant: TenantId::new(&tenant).expect("a name"),
            instance: Some(InstanceId::new(&instance).expect("a name")),
            role,
            ..Sample::new(EventTime::from_millis(time), WorkloadId::new(&workload).expect("a name"))
        };
        for (&metric, value) in Metric::ALL.iter().zip(readings) {
            sample.set(metric, value);
        }
        sample
    }
}
